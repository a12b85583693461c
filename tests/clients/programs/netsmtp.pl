# Sends messages with Perl's Net::SMTP, as told on standard input, and says what became of each on standard output.
#
# {"port", "ca", "user", "password", "sender", "messages": [{"to", "raw" (base64)}]}
use strict;
use warnings;
use JSON::PP;
use MIME::Base64;
use Net::SMTP;

my $told = decode_json(do { local $/; <STDIN> });
my @results;
for my $message (@{ $told->{messages} }) {
    my $smtp = Net::SMTP->new('localhost', Port => $told->{port}, Timeout => 60) or die "cannot connect: $@";
    $smtp->starttls(SSL_ca_file => $told->{ca}) or die 'starttls: ' . $smtp->message;
    $smtp->auth($told->{user}, $told->{password}) or die 'auth: ' . $smtp->code . ' ' . $smtp->message;
    my $done = $smtp->mail($told->{sender}) && $smtp->to($message->{to})
        && $smtp->data && $smtp->datasend(decode_base64($message->{raw})) && $smtp->dataend;
    push @results, { to => $message->{to}, accepted => $done ? JSON::PP::true : JSON::PP::false,
        responseCode => $smtp->code, response => join(' ', $smtp->message) };
    $smtp->quit;
}
print encode_json(\@results);
