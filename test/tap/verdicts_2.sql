-- What zdu_why says of a node that waits is what the exchange then does, in states dealt by chance, and in as many others.
--
--   SEED=7 ROLLS=10000 ONLY=verdicts_2.sql test/run   another chance than 1, more states than 1,500
\set lane 1
\ir verdicts.psql
