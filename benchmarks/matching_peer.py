"""One party of `spu`'s matching, run by the Python of an environment that has `spu` 0.9.5 and nothing of ours.

    python matching_peer.py RANK PROTOCOL FILE OUT PORT PORT

It does its imports, says `ready`, and begins when it is told to.
"""

import json
import resource
import sys
import time

from spu import libspu, psi


def settings(protocol, source, target):
    """What both parties say: the first one gets the aligned intersection as a file, the other one nothing."""
    return psi.PsiExecuteConfig(
        protocol_conf=psi.PsiProtocolConfig(
            protocol=psi.parse_protocol(protocol),
            receiver_rank=0,
            broadcast_result=False,
            ecdh_params=psi.EcdhParams(curve=psi.parse_curve_type("CURVE_25519")),
            rr22_params=psi.Rr22Rarams(low_comm_mode=False),
        ),
        input_params=psi.InputParams(path=source, selected_keys=["id"], keys_unique=True),
        output_params=psi.OutputParams(path=target, disable_alignment=True),
        join_conf=psi.ResultJoinConfig(type=psi.ResultJoinType.JOIN_TYPE_INNER_JOIN, left_side_rank=0),
    )


def main():
    """Run one party."""
    rank, protocol, source, target, *ports = sys.argv[1:]
    desc = libspu.link.Desc()
    for place, port in enumerate(ports):
        desc.add_party(f"party{place}", f"127.0.0.1:{port}")
    print("ready", flush=True)
    sys.stdin.readline()
    began = time.perf_counter()
    link = libspu.link.create_brpc(desc, int(rank))
    report = psi.psi_execute(settings(protocol, source, target), link)
    used = resource.getrusage(resource.RUSAGE_SELF)
    told = {
        "seconds": time.perf_counter() - began,
        "processor_s": used.ru_utime + used.ru_stime,
        "matched": report.intersection_count,
    }
    print(json.dumps(told), flush=True)
    link.stop_link()


if __name__ == "__main__":
    main()
