-- What zdu_why says of a node that waits is what the exchange then does, in states dealt by chance.
--
--   SEED=7 ROLLS=10000 ONLY=verdicts_1.sql test/run   another chance than 1, more states than 1,500
\set lane 0
\ir verdicts.psql
