# What grows with the nodes: the same with a hundred thousand of them, ten away at a time, under five budgets.

cases()
{
	echo decision_100000 most 1.5 hundred
	echo status_100000 most 2 hundred
}

prepare()
{
	driven nodes_100000 100000 10 true
}

# A decision: one step is reported, another one granted, nine more are in flight.
decision()
{
	per_second "$1" -D reports='[]' -t 60 <<-'END'
		SELECT coalesce(json_agg(json_build_object('token', token, 'verb', 'probe', 'state', 'done',
			'evidence', '{"version": "1.1.0"}'::json)), '[]') AS reports
		FROM (SELECT token FROM zdu_work('w', 'w1', 'c', :reports, 10, programs => '{look}') WHERE token IS NOT NULL LIMIT 1) AS t \gset
	END
}

status()
{
	per_second "$1" -t 30 <<-'END'
		SELECT * FROM zdu.status
	END
}

rate()
{
	"${1%_*}" nodes_100000
}
