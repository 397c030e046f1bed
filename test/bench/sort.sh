# Sorting a million versions.

cases()
{
	echo sort_1000000 most 2 text
}

prepare()
{
	database sort
	sql sort "CREATE EXTENSION zdu"
	sql sort "CREATE TABLE thing AS SELECT CAST (format('%s.%s.%s', i % 7, i * 7919 % 1009, i * 104729 % 10007) AS zdu_version) AS version
		FROM generate_series(1::bigint, 1000000) AS i"
	sql sort "VACUUM ANALYZE"
}

# To the last row, of which little is sent; as PostgreSQL is set up, but not in parallel.
sort_of()
{
	per_second sort -t 1 <<-END
		SET work_mem = '256MB';
		SET max_parallel_workers_per_gather = 0;
		SELECT $1 FROM thing ORDER BY 1 OFFSET 999999;
	END
}

rate()
{
	sort_of version
}
