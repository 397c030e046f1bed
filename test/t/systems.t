# Every assertion that doc/systems.md names is there.
use strict;
use warnings FATAL => 'all';

use FindBin;
use Test::More;

my $top = "$FindBin::RealBin/../..";

sub slurp
{
	open(my $file, '<', $_[0]) or return undef;
	local $/;
	return scalar(<$file>);
}

my ($rows, %missing) = (0);

for my $line (split /\n/, slurp("$top/doc/systems.md"))
{
	next if $line !~ /^\| .* \| .* \| (.*) \|$/ || $line =~ /^\| (---|the document|product)/ || $line !~ /`[a-z_]+\.(t|sql)`/;
	$rows++;
	while ($line =~ /`([a-z_]+\.(?:t|sql))` \*(.+?)\*(?=;| \|$)/g)
	{
		my ($name, $words) = ($1, $2);
		my $text = slurp("$top/test/t/$name") // slurp("$top/test/tap/$name");

		$missing{"$name: $words"} = 1 if !defined $text || index($text, $words) < 0;
	}
}
cmp_ok($rows, '>', 130, "every feature of the documents has a row: $rows");
is(join("\n", sort keys %missing), '', 'and every test that a row names is there');
done_testing();
