"""The functions that a statement may call where values may be seen: at the level `rows`, and in a `finish`.

What is not in this table is refused, by both readers: the first looks at the names as they are written, the
second at those that the engine's binder finds. An entry has a class, a reason, and an example call. The
example is no decoration: a test has the engine bind it, and requires that it calls nothing that is not listed.

Left out on purpose, in `LEFT_OUT` with the reason, is whatever reads something else than its arguments (files,
settings, the catalog, the clock), writes, waits, chooses by chance, takes text for SQL, or makes much out of
little. `docs/functions.md` is written from this module by `python tools/functions_reference.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType


class FunctionKind(StrEnum):
    """Classes of functions.

    `scalar` computes from one row's values and nothing else; `aggregate` says something about a group as a
    whole; `revealing` is an aggregate that shows the value of one of the rows or all of them; `window` looks
    at a row's neighbours; `internal` is what the binder alone writes into a plan, and no statement may call.
    """

    SCALAR = "scalar"
    AGGREGATE = "aggregate"
    REVEALING = "revealing"
    WINDOW = "window"
    INTERNAL = "internal"


@dataclass(frozen=True, slots=True)
class Function:
    """A listed function. `finish` says whether a finish may call it; an example is over the columns of `EXAMPLES`."""

    name: str
    kind: FunctionKind
    reason: str
    example: str
    finish: bool

    @property
    def aggregates(self) -> bool:
        """Whether it takes the rows of a group."""
        return self.kind in (FunctionKind.AGGREGATE, FunctionKind.REVEALING)


EXAMPLES: Mapping[str, str] = MappingProxyType(
    {
        "i": "INTEGER",
        "x": "DOUBLE",
        "y": "DOUBLE",
        "s": "VARCHAR",
        "b": "BOOLEAN",
        "d": "DATE",
        "t": "TIMESTAMP",
    }
)
"""The columns of the relation that the examples are about, with their types."""

LONGEST_PAD = 1_000
"""Characters to which a text may be padded: the length is a constant, since the engine's memory limit does not
cover it."""

_SCALAR, _AGGREGATE, _REVEALING, _WINDOW, _INTERNAL = FunctionKind


def _family(kind: FunctionKind, reason: str, *examples: str, finish: bool = True) -> dict[str, Function]:
    named = [(example.partition("(")[0], example) for example in examples]
    return {name: Function(name, kind, reason, example, finish) for name, example in named}


_NUMBER = _family(
    _SCALAR,
    "a number from numbers",
    "abs(x)", "sign(x)", "round(x, 2)", "trunc(x)", "ceil(x)", "ceiling(x)", "floor(x)", "mod(i, 7)", "sqrt(x)",
    "cbrt(x)", "exp(x)", "ln(x)", "log(x)", "log2(x)", "log10(x)", "pow(x, 2)", "power(x, 2)", "pi()", "degrees(x)",
    "radians(x)", "sin(x)", "cos(x)", "tan(x)", "cot(x)", "asin(x)", "acos(x)", "atan(x)", "atan2(x, y)", "sinh(x)",
    "cosh(x)", "tanh(x)", "even(x)", "gcd(i, 6)", "lcm(i, 6)", "isnan(x)", "isinf(x)", "isfinite(x)",
)  # fmt: skip
_CHOICE = _family(
    _SCALAR,
    "chooses among its arguments",
    "coalesce(x, 0)", "ifnull(x, 0)", "nullif(x, 0)", "if(b, x, y)", "greatest(x, y)", "least(x, y)",
)  # fmt: skip
_TEXT = _family(
    _SCALAR,
    "text, or a number about it, from text",
    "lower(s)", "lcase(s)", "upper(s)", "ucase(s)", "length(s)", "len(s)", "char_length(s)", "character_length(s)",
    "strlen(s)", "substring(s, 1, 2)", "substr(s, 1, 2)", "left(s, 2)", "right(s, 2)", "trim(s)", "ltrim(s)",
    "rtrim(s)", "replace(s, 'a', 'b')", "translate(s, 'ab', 'cd')", "reverse(s)", "concat(s, '-', i)",
    "concat_ws('-', s, s)", "contains(s, 'a')", "starts_with(s, 'a')", "ends_with(s, 'a')", "prefix(s, 'a')",
    "suffix(s, 'a')", "position('a' IN s)", "strpos(s, 'a')", "instr(s, 'a')", "ascii(s)", "chr(65)", "unicode(s)",
    "split_part(s, '-', 1)", "strip_accents(s)", "nfc_normalize(s)", "levenshtein(s, 'a')", "jaccard(s, 'a')",
    "jaro_similarity(s, 'a')", "jaro_winkler_similarity(s, 'a')", "hamming(s, s)", "like_escape(s, 'a%', '!')",
    "not_like_escape(s, 'a%', '!')", "ilike_escape(s, 'a%', '!')", "not_ilike_escape(s, 'a%', '!')",
)  # fmt: skip
_PAD = _family(
    _SCALAR,
    f"text of a constant length, at most {LONGEST_PAD:,} characters",
    "lpad(s, 6, '0')", "rpad(s, 6, ' ')",
)  # fmt: skip
_PATTERN = _family(
    _SCALAR,
    "a regular expression of RE2, which takes time in proportion to the text",
    "regexp_matches(s, '^a')", "regexp_full_match(s, 'a.*')", "regexp_replace(s, 'a', 'b', 'g')",
    "regexp_extract(s, '(a)', 1)",
)  # fmt: skip
_DIGEST = _family(
    _SCALAR, "a fixed-size digest of a value that may be seen anyway", "md5(s)", "sha256(s)", "hash(s)"
)
_DATE = _family(
    _SCALAR,
    "computes with dates that it is given; the clock is not asked",
    "year(d)", "quarter(d)", "month(d)", "week(d)", "weekofyear(d)", "yearweek(d)", "day(d)", "dayofmonth(d)",
    "dayofweek(d)", "weekday(d)", "isodow(d)", "isoyear(d)", "dayofyear(d)", "decade(d)", "century(d)", "hour(t)",
    "minute(t)", "second(t)", "dayname(d)", "monthname(d)", "last_day(d)", "date_part('year', d)",
    "datepart('year', d)", "extract(year FROM d)", "date_trunc('month', d)", "datetrunc('month', d)",
    "date_diff('day', d, d)", "datediff('day', d, d)", "date_sub('day', d, d)", "datesub('day', d, d)",
    "date_add(d, INTERVAL 1 MONTH)", "time_bucket(INTERVAL 1 MONTH, d)", "make_date(2020, 1, i)",
    "make_timestamp(2020, 1, 1, 0, 0, x)", "epoch(t)", "epoch_ms(t)", "julian(d)", "to_days(i)", "to_weeks(i)",
    "to_months(i)", "to_years(i)", "to_hours(i)", "to_minutes(i)", "to_seconds(x)", "strftime(d, '%Y-%m')",
    "strptime(s, '%Y-%m-%d')", "try_strptime(s, '%Y-%m-%d')",
)  # fmt: skip
_LIST = _family(
    _SCALAR,
    "looks into a list that `list` made",
    "list_contains(list(i), 1)", "list_sort(list(i))", "list_distinct(list(i))", "list_unique(list(i))",
    finish=False,
)  # fmt: skip
_GROUP = _family(
    _AGGREGATE,
    "about a group as a whole",
    "count(x)", "sum(x)", "avg(x)", "mean(x)", "favg(x)", "fsum(x)", "stddev(x)", "stddev_samp(x)", "stddev_pop(x)",
    "variance(x)", "var_samp(x)", "var_pop(x)", "sem(x)", "skewness(x)", "kurtosis(x)", "kurtosis_pop(x)",
    "entropy(s)", "covar_samp(x, y)", "covar_pop(x, y)", "corr(x, y)", "regr_slope(x, y)", "regr_intercept(x, y)",
    "regr_r2(x, y)", "regr_avgx(x, y)", "regr_avgy(x, y)", "regr_count(x, y)", "regr_sxx(x, y)", "regr_sxy(x, y)",
    "regr_syy(x, y)", "count_if(b)", "countif(b)", "bool_and(b)", "bool_or(b)", "product(x)", "geomean(x)",
    "weighted_avg(x, y)", "bit_and(i)", "bit_or(i)", "bit_xor(i)", "approx_count_distinct(s)", "grouping(s)",
    "grouping_id(s)",
)  # fmt: skip
_ONE_ROW = _family(
    _REVEALING,
    "shows a value of one row of the group, or one between two rows",
    "min(x)", "max(x)", "median(x)", "mad(x)", "mode(s)", "quantile(x, 0.5)", "quantile_cont(x, 0.5)",
    "quantile_disc(x, 0.5)", "percentile_cont(0.5) WITHIN GROUP (ORDER BY x)",
    "percentile_disc(0.5) WITHIN GROUP (ORDER BY x)", "approx_quantile(x, 0.5)", "arg_min(s, x)", "argmin(s, x)",
    "min_by(s, x)", "arg_max(s, x)", "argmax(s, x)", "max_by(s, x)", "any_value(s)", "arbitrary(s)", "first(s)",
    "last(s)",
)  # fmt: skip
_ALL_ROWS = _family(
    _REVEALING,
    "shows the values of all rows of the group",
    "list(i)", "array_agg(i)", "string_agg(s, ',')", "group_concat(s, ',')", "listagg(s, ',')",
    finish=False,
)  # fmt: skip
_NEIGHBOURS = _family(
    _WINDOW,
    "numbers the rows of a window, or takes a value from a neighbour",
    "row_number() OVER (ORDER BY x)", "rank() OVER (ORDER BY x)", "dense_rank() OVER (ORDER BY x)",
    "rank_dense() OVER (ORDER BY x)", "percent_rank() OVER (ORDER BY x)", "cume_dist() OVER (ORDER BY x)",
    "ntile(4) OVER (ORDER BY x)", "lag(x, 1) OVER (ORDER BY d)", "lead(x, 1) OVER (ORDER BY d)",
    "first_value(x) OVER (ORDER BY d)", "last_value(x) OVER (ORDER BY d)", "nth_value(x, 2) OVER (ORDER BY d)",
)  # fmt: skip
_SIGN = {
    sign: Function(sign, _SCALAR, "an operator, as the binder calls it", example, True)
    for sign, example in (
        ("+", "x + 1"), ("-", "x - 1"), ("*", "x * 2"), ("/", "x / 2"), ("//", "i // 2"), ("%", "i % 2"),
        ("**", "x ** 2"), ("^", "x ^ 2"), ("||", "s || 'a'"), ("~~", "s LIKE 'a%'"), ("!~~", "s NOT LIKE 'a%'"),
        ("~~*", "s ILIKE 'a%'"), ("!~~*", "s NOT ILIKE 'a%'"), ("~~~", "s GLOB 'a*'"), ("^@", "s ^@ 'a'"),
    )
}  # fmt: skip
_BINDER = {
    name: Function(name, _INTERNAL, reason, example, True)
    for name, example, reason in (
        ("count_star", "count(*)", "how the binder calls it"),
        ("error", "(SELECT 1)", "stops a scalar subquery that yields several rows, with a text of the engine's"),
        ("row", "(i, s) = (1, 'a')", "compares several values at once"),
        ("string_split", "split_part(s, '-', 1)", "split_part is made of it"),
        ("array_extract", "split_part(s, '-', 1)", "split_part is made of it"),
    )
}  # fmt: skip

FUNCTIONS: Mapping[str, Function] = MappingProxyType(
    _NUMBER | _CHOICE | _TEXT | _PAD | _PATTERN | _DIGEST | _DATE | _LIST | _GROUP | _ONE_ROW | _ALL_ROWS
    | _NEIGHBOURS | _SIGN | _BINDER
)  # fmt: skip
"""Every function that may be called, by its name as DuckDB's binder spells it (an alias is a name of its own)."""


def _left_out(reason: str, names: str) -> dict[str, str]:
    return dict.fromkeys(names.split(), reason)


LEFT_OUT: Mapping[str, str] = MappingProxyType(
    _left_out(
        "it reads something else than what was granted",
        "read_csv read_csv_auto read_json read_json_auto read_ndjson read_parquet parquet_scan read_text read_blob"
        " glob sniff_csv parquet_metadata parquet_schema parquet_file_metadata sqlite_scan postgres_scan getenv",
    )
    | _left_out(
        "it takes text for SQL", "query query_table json_execute_serialized_sql json_serialize_sql eval"
    )
    | _left_out(
        "it tells about the engine, its settings or its storage",
        "current_setting duckdb_settings duckdb_tables duckdb_columns duckdb_databases pragma_table_info stats version"
        " current_query current_schema current_schemas current_database current_user session_user user getvariable"
        " typeof vector_type in_search_path txid_current pg_typeof enum_range enum_code create_sort_key",
    )
    | _left_out(
        "its value is not fixed by the statement; write the constant",
        "now today current_date current_time current_timestamp current_localtime current_localtimestamp"
        " get_current_time get_current_timestamp transaction_timestamp age ago random rand setseed uuid uuidv4 uuidv7"
        " gen_random_uuid nextval currval reservoir_quantile",
    )
    | _left_out(
        "it makes much out of little, and the engine's memory limit does not cover it",
        "range generate_series repeat array_to_string list_resize array_resize format printf bar"
        " unnest generate_subscripts",
    )
    | _left_out("it writes or waits", "write_log sleep_ms pg_sleep checkpoint")
    | _left_out("it stops the engine with a text that may hold a value", "error")
    | _left_out(
        "it takes a whole row, or makes a value of several that no result can hold",
        "to_json row_to_json json_object json_array struct_pack row map list_value array_value histogram columns"
        " approx_top_k",
    )
    | _left_out(
        "it takes a function as its argument",
        "list_transform list_filter list_reduce list_aggregate list_apply apply filter reduce",
    )
)
"""Functions that people, or attackers, ask for, and why they are not listed. Any other is refused without advice."""

_NODES = """
Abs Acos AnyValue ApproxDistinct ApproxQuantile ArgMax ArgMin ArrayAgg ArrayContains ArrayDistinct
ArraySort Ascii Asin Atan Atan2 Avg BitwiseAndAgg BitwiseOrAgg BitwiseXorAgg Cbrt Ceil Chr Coalesce
Concat ConcatWs Contains Corr Cos Cosh Cot Count CountIf CovarPop CovarSamp CumeDist DateAdd DateBin
DateDiff DateFromParts Day DayOfMonth DayOfWeek DayOfWeekIso DayOfYear Dayname Degrees DenseRank
EndsWith Exp Extract First FirstValue Floor Greatest GroupConcat Grouping GroupingId Hour If IsInf
IsNan JarowinklerSimilarity Kurtosis Lag Last LastDay LastValue Lead Least Left Length Levenshtein
Ln Log LogicalAnd LogicalOr Lower MD5 Max Median Min Minute Mode Month Monthname NthValue Ntile
Nullif Pad PercentRank PercentileCont PercentileDisc Pi Pow Quantile Quarter Radians Rank
RegexpExtract RegexpFullMatch RegexpLike RegexpReplace RegrAvgx RegrAvgy RegrCount RegrIntercept
RegrR2 RegrSlope RegrSxx RegrSxy RegrSyy Replace Reverse Right Round RowNumber SHA2 Second Sign Sin
Sinh Skewness SplitPart Sqrt StartsWith Stddev StddevPop StddevSamp StrPosition StrToTime Substring
Sum Tan Tanh TimeToStr TimeToUnix TimestampFromParts TimestampTrunc ToDays Translate Trim Trunc
Unicode UnixToTime Upper Variance VariancePop Week WeekOfYear Year
"""
NODES = frozenset(_NODES.split())
"""What the first reader's parser makes of calls of listed functions: its names of classes. Others are refused."""

_NODE_NAMES = {
    "StddevSamp": "stddev",
    "VariancePop": "var_pop",
    "ArrayAgg": "list",
    "GroupConcat": "string_agg",
    "ApproxDistinct": "approx_count_distinct",
    "CountIf": "count_if",
    "LogicalAnd": "bool_and",
    "LogicalOr": "bool_or",
    "BitwiseAndAgg": "bit_and",
    "BitwiseOrAgg": "bit_or",
    "BitwiseXorAgg": "bit_xor",
    "PercentileCont": "quantile_cont",
    "PercentileDisc": "quantile_disc",
}


def aggregate_name(node: str, name: str) -> str:
    """Return how an aggregate is called in constraints, from the parser's class and its own name for it."""
    return _NODE_NAMES.get(node, name)


def written(name: str, *, finish: bool = False) -> Function | None:
    """Return the listed function that a statement (or a finish) may call by this name, or none."""
    found = FUNCTIONS.get(name.lower())
    if found is None or found.kind is FunctionKind.INTERNAL or (finish and not found.finish):
        return None
    return found


def allowed(name: str, *, finish: bool = False) -> bool:
    """Return whether a bound plan may hold a function of this name."""
    found = FUNCTIONS.get(name.lower())
    return found is not None and (found.finish or not finish)


def why_not(name: str) -> str:
    """Return why a function is not listed, or nothing where no reason was written down."""
    return LEFT_OUT.get(name.lower(), "")
