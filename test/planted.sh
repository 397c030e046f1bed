# planted.sh: faults that are planted on purpose, for test/mutate and test/sim/faults.  Sourced.
#
# A fault is a patch whose head has lines "Field: value".  Everything is done in the copy of
# the checkout that test/cluster.sh made, which is the working directory.

# Prints a field of a patch's head.
field()
{
	sed -n "s/^$1: *//p; /^--- /q" "$2"
}

# Prints why a patch cannot be tried, if it cannot: it wants the named fields, and to apply.
why_stale()
{
	planted=$1
	shift
	for name in "$@"; do
		test -n "$(field "$name" "$planted")" || { echo "its head has no $name"; return; }
	done
	patch -s -p1 --dry-run <"$planted" >/dev/null 2>&1 || echo "it does not apply"
}

# Installs the sources as they are now; says nothing, unless it fails.
install_planted()
{
	make -j "$(nproc)" PG_CONFIG="$PG_CONFIG" with_llvm=no >"$work/planted.log" 2>&1 &&
		make install PG_CONFIG="$PG_CONFIG" with_llvm=no DESTDIR="$work/pg" >>"$work/planted.log" 2>&1
}
