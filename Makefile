# zdu: builds the extension (PGXS) and the worker (a program of its own).
#
#   make              the extension and zdu_worker
#   make install      both, into PG_CONFIG's PostgreSQL
#   make demo         the main job on one machine, see demo/run
#   make check        every test, see test/run
#   make check-rules  which rules of doc/rules.md have a passed assertion
#   make check-style  layering and layout
#   make e2e          rolls real products, see test/e2e/run
#   make mutate       breaks rules and sees that their tests notice, see test/mutate/run
#   make sim          plays many rolls with faults, see test/sim/run; SEED=N ROLLS=N
#   make sim-faults   plants faults in zdu, and sees that the simulation finds them, see test/sim/faults/run
#   make bench-quick  what zdu costs beside something plain, see test/bench/run

# The scripts do their own set-up, also where PostgreSQL is not there yet.  So PGXS, which
# has a check of its own, is read for other goals only.
ifneq (,$(filter demo check check-rules check-style bench-quick e2e mutate sim sim-faults,$(MAKECMDGOALS)))

.PHONY: demo check check-rules check-style bench-quick e2e mutate sim sim-faults
demo:
	@demo/run
check:
	@test/run
check-rules:
	@test/check-rules
check-style:
	@test/check-style
bench-quick:
	@test/bench/run
e2e:
	@test/e2e/run
mutate:
	@test/mutate/run
sim:
	@SEED=$(SEED) ROLLS=$(ROLLS) test/sim/run
sim-faults:
	@SEED=$(SEED) ROLLS=$(ROLLS) test/sim/faults/run

else

EXTENSION = zdu
EXTVERSION = 0.1.0
MODULE_big = zdu

# One a line, in the order of the alphabet.
CORE_OBJS = \
	src/core/barrier.o \
	src/core/bound.o \
	src/core/budget.o \
	src/core/copies.o \
	src/core/decide.o \
	src/core/dice.o \
	src/core/fsm.o \
	src/core/heap.o \
	src/core/pack.o \
	src/core/path.o \
	src/core/plan.o \
	src/core/protocol.o \
	src/core/signature.o \
	src/core/stage.o \
	src/core/verdict.o \
	src/core/version.o
STORE_OBJS = \
	src/store/args.o \
	src/store/basis.o \
	src/store/budget.o \
	src/store/calendar.o \
	src/store/catalogue.o \
	src/store/closure.o \
	src/store/count.o \
	src/store/deployment.o \
	src/store/document.o \
	src/store/event.o \
	src/store/facts.o \
	src/store/flight.o \
	src/store/gate.o \
	src/store/guard.o \
	src/store/health.o \
	src/store/instance.o \
	src/store/node.o \
	src/store/pace.o \
	src/store/placement.o \
	src/store/plan.o \
	src/store/queue.o \
	src/store/quiet.o \
	src/store/report.o \
	src/store/row.o \
	src/store/runbook.o \
	src/store/runbook_check.o \
	src/store/runbook_keys.o \
	src/store/shape.o \
	src/store/soft.o \
	src/store/spi.o \
	src/store/standing.o \
	src/store/step.o \
	src/store/step_plan.o \
	src/store/vars.o \
	src/store/watch.o \
	src/store/worker.o
API_OBJS = \
	src/api/admin.o \
	src/api/advice.o \
	src/api/approve.o \
	src/api/asset.o \
	src/api/begin.o \
	src/api/budget.o \
	src/api/delta.o \
	src/api/deploy.o \
	src/api/drive.o \
	src/api/expect.o \
	src/api/fact.o \
	src/api/feature.o \
	src/api/fleet.o \
	src/api/freeze.o \
	src/api/gate.o \
	src/api/group.o \
	src/api/guard.o \
	src/api/heartbeat.o \
	src/api/join.o \
	src/api/leader.o \
	src/api/lifecycle.o \
	src/api/log.o \
	src/api/node.o \
	src/api/observe.o \
	src/api/observed.o \
	src/api/operation.o \
	src/api/outcome.o \
	src/api/placement.o \
	src/api/plan.o \
	src/api/preflight.o \
	src/api/privilege.o \
	src/api/protect.o \
	src/api/refuse.o \
	src/api/release.o \
	src/api/setup.o \
	src/api/simulate.o \
	src/api/spool.o \
	src/api/sweep.o \
	src/api/take.o \
	src/api/transitions.o \
	src/api/version.o \
	src/api/waive.o \
	src/api/why.o \
	src/api/work.o \
	src/api/write.o
OBJS = src/zdu.o $(CORE_OBJS) $(STORE_OBJS) $(API_OBJS)

# The install script is these files in this order.
SQL_PARTS = \
	src/sql/version.sql \
	src/sql/policy.sql \
	src/sql/release.sql \
	src/sql/cluster.sql \
	src/sql/upgrade.sql \
	src/sql/step.sql \
	src/sql/functions.sql \
	src/sql/budget.sql \
	src/sql/placement.sql \
	src/sql/side.sql \
	src/sql/gate.sql \
	src/sql/freeze.sql \
	src/sql/fact.sql \
	src/sql/group.sql \
	src/sql/plan.sql \
	src/sql/views.sql \
	src/sql/fleet.sql \
	src/sql/privilege.sql \
	src/sql/dump.sql
RUNBOOKS = \
	runbooks/haproxy-systemd-ssh.json \
	runbooks/local.json \
	runbooks/camunda.json \
	runbooks/confluence.json \
	runbooks/crate.json \
	runbooks/eft.json \
	runbooks/jahia.json \
	runbooks/jahia-two-groups.json
PROGRAMS = \
	runbooks/local-service \
	runbooks/ssh-systemd \
	runbooks/ssh-package \
	runbooks/nginx-upstream \
	runbooks/apache-balancer \
	runbooks/camunda-schema \
	runbooks/crate-stop \
	runbooks/eft-upgrade \
	runbooks/ssh-windows \
	runbooks/jahia-module \
	runbooks/jahia-default

DATA_built = $(EXTENSION)--$(EXTVERSION).sql
SCRIPTS_built = src/worker/zdu_worker

WORKER_OBJS = src/client/connect.o src/client/options.o \
	src/worker/child.o src/worker/conninfo.o src/worker/control.o src/worker/driver.o src/worker/driver_exec.o \
	src/worker/driver_haproxy.o src/worker/driver_http.o src/worker/driver_sql.o \
	src/worker/follow.o src/worker/haproxy_answer.o src/worker/job.o src/worker/join.o src/worker/keep.o src/worker/log.o src/worker/lookout.o \
	src/worker/loop.o src/worker/main.o src/worker/notify.o src/worker/outbox.o src/worker/programs.o \
	src/worker/report.o src/worker/text.o
WORKER_LIBS = libuv libcurl jansson

EXTRA_CLEAN = $(WORKER_OBJS) $(DATA_built) tmp_check

REGRESS = version session stuck
REGRESS_OPTS = --load-extension=zdu

PG_CPPFLAGS = -I$(srcdir)/src
PG_CFLAGS = -Wall -Wextra -Werror -Wdeclaration-after-statement -Wno-unused-parameter -Wno-missing-field-initializers -Wno-sign-compare

PG_CONFIG ?= pg_config
PGXS := $(shell $(PG_CONFIG) --pgxs)
include $(PGXS)

HEADERS_C = $(wildcard $(srcdir)/src/*.h $(srcdir)/src/core/*.h $(srcdir)/src/store/*.h $(srcdir)/src/api/*.h)
$(OBJS): $(HEADERS_C)

# Shipped runbooks become rows of the install script; a text in $zdu$ quotes needs no escaping.
$(EXTENSION)--$(EXTVERSION).sql: $(SQL_PARTS) $(RUNBOOKS)
	cat $(addprefix $(srcdir)/,$(SQL_PARTS)) >$@
	for f in $(RUNBOOKS); do \
		printf "INSERT INTO zdu.runbook (name, revision, shipped, document, hash) SELECT '%s', 1, true, d, encode(sha256(convert_to(d::text, 'UTF8')), 'hex') FROM CAST (\$$zdu\$$" "$$(basename $$f .json)"; \
		cat $(srcdir)/$$f; \
		echo "\$$zdu\$$ AS jsonb) AS d;"; \
	done >>$@

$(WORKER_OBJS): override CPPFLAGS := -I$(srcdir)/src -I$(includedir) $(shell pkg-config --cflags $(WORKER_LIBS)) \
	-DZDU_VERSION='"$(EXTVERSION)"' -DZDU_RUNBOOKS_DIR='"$(datadir)/zdu/runbooks"'
$(WORKER_OBJS): $(wildcard $(srcdir)/src/client/*.h $(srcdir)/src/worker/*.h)
src/worker/zdu_worker: $(WORKER_OBJS)
	$(CC) $(CFLAGS) -o $@ $(WORKER_OBJS) $(LDFLAGS) -L$(libdir) -lpq $(shell pkg-config --libs $(WORKER_LIBS)) -lm

install: install-runbooks
.PHONY: install-runbooks
install-runbooks:
	$(MKDIR_P) '$(DESTDIR)$(datadir)/zdu/runbooks' '$(DESTDIR)$(datadir)/zdu/systemd' '$(DESTDIR)$(mandir)/man8'
	$(INSTALL_SCRIPT) $(addprefix $(srcdir)/,$(PROGRAMS)) '$(DESTDIR)$(datadir)/zdu/runbooks/'
	$(INSTALL_DATA) $(addprefix $(srcdir)/,$(RUNBOOKS)) '$(DESTDIR)$(datadir)/zdu/runbooks/'
	sed 's|/usr/bin/zdu_worker|$(bindir)/zdu_worker|' $(srcdir)/runbooks/zdu-worker.service >'$(DESTDIR)$(datadir)/zdu/systemd/zdu-worker.service'
	$(INSTALL_DATA) $(srcdir)/doc/zdu_worker.8 '$(DESTDIR)$(mandir)/man8/'

endif
