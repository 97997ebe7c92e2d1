"""The functions that a statement may call, for completion, the usual ones first: those of docs/functions.md.

The client does not carry the readers of SQL, so the names stand here once more; a test compares them.
"""

from __future__ import annotations

_NAMES = """
    count sum avg stddev abs sign round trunc ceil ceiling floor mod sqrt cbrt exp ln log log2 log10 pow
    power pi degrees radians sin cos tan cot asin acos atan atan2 sinh cosh tanh even gcd lcm isnan
    isinf isfinite coalesce ifnull nullif if greatest least lower lcase upper ucase length len
    char_length character_length strlen substring substr left right trim ltrim rtrim replace translate
    reverse concat concat_ws contains starts_with ends_with prefix suffix position strpos instr ascii
    chr unicode split_part strip_accents nfc_normalize levenshtein jaccard jaro_similarity
    jaro_winkler_similarity hamming like_escape not_like_escape ilike_escape not_ilike_escape lpad rpad
    regexp_matches regexp_full_match regexp_replace regexp_extract md5 sha256 hash year quarter month
    week weekofyear yearweek day dayofmonth dayofweek weekday isodow isoyear dayofyear decade century
    hour minute second dayname monthname last_day date_part datepart extract date_trunc datetrunc
    date_diff datediff date_sub datesub date_add time_bucket make_date make_timestamp epoch epoch_ms
    julian to_days to_weeks to_months to_years to_hours to_minutes to_seconds strftime strptime
    try_strptime list_contains list_sort list_distinct list_unique mean favg fsum stddev_samp stddev_pop
    variance var_samp var_pop sem skewness kurtosis kurtosis_pop entropy covar_samp covar_pop corr
    regr_slope regr_intercept regr_r2 regr_avgx regr_avgy regr_count regr_sxx regr_sxy regr_syy count_if
    countif bool_and bool_or product geomean weighted_avg bit_and bit_or bit_xor approx_count_distinct
    grouping grouping_id min max median mad mode quantile quantile_cont quantile_disc percentile_cont
    percentile_disc approx_quantile arg_min argmin min_by arg_max argmax max_by any_value arbitrary
    first last list array_agg string_agg group_concat listagg row_number rank dense_rank rank_dense
    percent_rank cume_dist ntile lag lead first_value last_value nth_value
"""

FUNCTIONS: tuple[str, ...] = tuple(_NAMES.split())
