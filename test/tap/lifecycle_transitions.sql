-- Promise: the published state machines have no dead ends, and the tables allow exactly their states.
BEGIN;
SELECT plan(13);

CREATE TEMP TABLE machine AS SELECT * FROM zdu_transitions();
CREATE TEMP TABLE state AS
SELECT DISTINCT machine, s AS state FROM machine, unnest(ARRAY[from_state, to_state]) AS s WHERE s IS NOT NULL;

SELECT results_eq('SELECT DISTINCT machine FROM machine ORDER BY 1', '{cluster,node,step,upgrade}'::text[],
                  'N1: four machines are published');
SELECT is_empty($$ SELECT * FROM machine WHERE event IS NULL OR meaning IS NULL OR rule !~ '^[A-Z][0-9]+$' $$,
                'L22: every transition names its event, its rule and what it means');

PREPARE unreachable AS
WITH RECURSIVE reached AS (
    SELECT machine, to_state FROM machine WHERE machine = $1 AND from_state IS NULL
    UNION
    SELECT m.machine, m.to_state FROM machine m JOIN reached r ON m.machine = r.machine AND m.from_state = r.to_state
)
SELECT state FROM state WHERE machine = $1 EXCEPT SELECT to_state FROM reached;
SELECT is_empty(format('EXECUTE unreachable(%L)', m), format('N1: every state of machine %s is reachable', m))
FROM unnest('{cluster,node,step,upgrade}'::text[]) AS m;

SELECT results_eq(
    $$ SELECT machine, state FROM state EXCEPT SELECT machine, from_state FROM machine ORDER BY 1, 2 $$,
    $$ VALUES ('step', 'cancelled'), ('step', 'skipped'), ('step', 'succeeded'),
              ('upgrade', 'cancelled'), ('upgrade', 'completed'), ('upgrade', 'rolled_back') $$,
    'N1: every state but the ended ones can be left');
SELECT is_empty($$ SELECT machine, from_state, event, to_state FROM machine GROUP BY 1, 2, 3, 4 HAVING count(*) > 1 $$,
                'N1: no transition is published twice');

-- The words in quotes of a CHECK are the states that it allows.
PREPARE allowed AS
SELECT DISTINCT w[1] FROM pg_constraint, regexp_matches(pg_get_constraintdef(oid), $re$'(\w+)'$re$, 'g') AS w
WHERE conname = ANY (string_to_array($1, ' ')) AND connamespace = 'zdu'::regnamespace ORDER BY 1;
PREPARE published AS SELECT state FROM state WHERE machine = $1 ORDER BY 1;
SELECT set_eq(format('EXECUTE allowed(%L)', c), format('EXECUTE published(%L)', m), format('N1: %s lists the states of machine %s', c, m))
FROM (VALUES ('cluster_state_check', 'cluster'), ('node_state_check', 'node'),
             ('flight_state_check step_past_state_check', 'step'), ('upgrade_run_check', 'upgrade')) AS t (c, m);
SELECT set_eq('EXECUTE allowed(''upgrade_resume_to_check'')',
              $$ SELECT to_state FROM machine WHERE machine = 'upgrade' AND from_state = 'held' AND event = 'retry' $$,
              'L22: what an interrupted upgrade can be resumed to is what retry leads to');

SELECT * FROM finish();
ROLLBACK;
