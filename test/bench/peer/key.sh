# A SELECT of one row by its key.

beside=exchange

prepare()
{
	database plain_key
	sql plain_key "CREATE TABLE thing (name text PRIMARY KEY, value text)"
	sql plain_key "INSERT INTO thing SELECT 'c' || i, 'v' FROM generate_series(1, 1000) AS i"
	sql plain_key "VACUUM ANALYZE"
}

rate()
{
	per_second plain_key -t 8000 <<-'END'
		SELECT name, value FROM thing WHERE name = 'c500'
	END
}
