# Serves the files of the working directory on port 8080.
use strict;
use IO::Socket::INET;
my $server = IO::Socket::INET->new(Listen => 9, LocalPort => 8080, ReuseAddr => 1) or die $!;
while (my $client = $server->accept) {
    my $request = <$client> // '';
    while (my $header = <$client>) { last if $header =~ /^\r?\n$/ }
    my ($path) = $request =~ m{^\w+ /([\w./-]*)};
    if (defined $path && $path !~ /\.\./ && open my $file, '<', $path) {
        local $/;
        my $body = <$file>;
        print $client "HTTP/1.1 200 OK\r\nContent-Length: ", length $body, "\r\nConnection: close\r\n\r\n";
        print $client $body unless $request =~ /^HEAD/;
    } else {
        print $client "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    }
    close $client;
}
