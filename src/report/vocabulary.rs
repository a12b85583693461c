//! The words of which replies of mail servers are made. Nobody's name is here for being a name; who has a word of it for a name is
//! compared with what is said ([`super::gist`]).

use std::collections::HashSet;
use std::sync::LazyLock;

/// Whether a word, in lower case, is one of them.
pub fn has(word: &str) -> bool {
    WORDS.contains(word) || is_joining(word)
}

/// Whether it says nothing by itself.
pub fn is_joining(word: &str) -> bool {
    JOINING_WORDS.contains(word)
}

/// Whether it is one of the sites that explain refusals, or a list of senders that refusals name.
pub fn is_known_host(host: &str) -> bool {
    HOST_NAMES.contains(host)
}

static WORDS: LazyLock<HashSet<&str>> = LazyLock::new(|| CONTENT.split_ascii_whitespace().collect());
static JOINING_WORDS: LazyLock<HashSet<&str>> = LazyLock::new(|| JOINING.split_ascii_whitespace().collect());
static HOST_NAMES: LazyLock<HashSet<&str>> = LazyLock::new(|| HOSTS.split_ascii_whitespace().collect());

const JOINING: &str = "
    a about above after again against all also although always an and another any are as at be because been before behind being below between both but
    by can can't cannot cant could couldn't did didn't do does doesn't doing don't done during each either else even ever every everything few for from
    further get gets go goes got had has hasn't have haven't having here how however i'm if in instead into is isn't it it's its itself just later least
    less like made make may me might more most much must my near need needed needs neither next no non none nor not nothing now of off
    on once one ones only onto or other others our ours out over own per please rather same see seems shall should since so some
    something soon sorry still such than that that's the their them then there these they this those through thus to
    too toward towards under unless until up upon us use used using very via want was wasn't we we're were weren't what when where whether which while
    who whom whose why will with within without won't would yes yet you you're your yours";

const CONTENT: &str = "
    abort aborted aborting abuse abusive accept acceptable acceptance accepted accepting accepts access accessible account accounts acl action actions
    activate activated active activity actual actually add added adding additional additionally address addressed addressee addresses adhere admin
    administrative administratively administrator administrators advertised affected age agent aggressive alias aliases aligned alignment allocation allow
    allowed allowing allows alternate ambiguous amount anonymous answer answered answers anti anti-spam antispam antivirus apparent apparently
    appear appears applied apply appropriate archive argument arguments arrived ask asn assigned assistance associated attached attachment attachments attack
    attempt attempted attempting attempts attention auth authenticate authenticated authenticating authentication author authorisation authorised
    authorization authorize authorized automated automatic automatically available avoid aware
    back backend backoff bad ban banned bandwidth bare base64 basic batch bcc bdat became behavior behaviour belong belongs binarymime blacklist blacklisted
    blacklisting blacklists blank block blocked blocking blocklist blocklisted blocklists blocks body boundary bot botnet bounce bounced bounces bracket
    brackets broken browser buffer bug bulk busy byte bytes
    cache call callback callout cancelled capability capacity case category caught cause caused causes cc certificate change changed channel character
    characters charset check checked checking checks choose chunk chunking class classified clear clearly click client client's clients close
    closed closes closing code codes collected command commands comment comments come comes coming common complain complaint complaints complete completed compliance
    compliant comply complying compromised concurrent condition conditions config configuration configured confirm confirmed conflict congested
    congestion connect connected connecting connection connections connects consecutive consider considered constraint constraints contact contacting contain contained
    containing contains content content-type contents continue continued control conversion correct corrected correctly corrupt corrupted count country create
    created credential credentials criteria current currently customer customers cut cycle
    daemon daily down damaged dane data database date daytime day days dead deactivated deadline declined decode decoding default defer deferral deferred deferring
    defined definition delay delayed delaying delays delete deleted deliver deliverable delivered delivering delivery delist delisting denied deny
    denying destination destinations detail detailed details detect detected detection determine determined dictionary differ different digest direct
    directly directory disabled disallowed discard discarded disconnect disconnected disconnecting discontinued disk disposition dkim dmarc dns dnsbl dnsrbl
    document documentation domain domain's domains dot double dropped dsn due duplicate dynamic
    early easily edge ehlo eight email email's emails e-mail e-mails empty enable enabled encoded encoding encountered encrypted encryption end ended ending enforced
    engine enhanced enough ensure entire entry envelope eof equal error errors esmtp establish established etc evaluation event exact example exceed exceeded
    exceeding exceeds except exception excessive exchange exclusive executable execute exhausted exist existent existing exists expand expansion expect expected
    expiration expire expired expires explain explanation explicit extension extensions external extra
    fail failed failing fails failure failures fake false family feature feedback fetch field fields file files filesystem filter filtered filtering
    filters final find firewall first fix fixed flag flagged flood flooding follow followed following footprint forbidden force forced forged forging form
    format formatted formed forward forwarded forwarding forwards found fqdn fraud fraudulent free frequency frequent frequently from-header frozen full full-mailbox fully
    fully-qualified function
    gateway general generated generic geo given global gone good goodbye greater greeting greetings greylist greylisted greylisting graylist graylisted
    graylisting group group's groups guideline guidelines gsmtp
    handle handled handling hard header headers heavy held helo help high higher history hit hold honeypot honor hop hops host hostname hosted hosting hosts hour
    hourly hours html http https human
    icu id ident identical identification identified identifier identify identity idle ignore ignored illegal imap immediately implemented implausible improper
    inactive inactivity inbound inbox include included includes including incoming incomplete inconsistent incorrect incorrectly increase indicate
    indicates indicating infected information initial input insecure inspection instruction instructions insufficient intended interface internal internet
    interrupted invalid invite ip ipv4 ipv6 ips isp issue issued issues item
    junk keep kept key keyword known
    label large larger largest last latency latest ldap left legacy legitimate length level license likely limit limitation limited limiting limits line lines link links
    list listed listing lists literal lmtp load local locally location lock locked log logged login logs longer look looked looking looks lookup loop loopback looping
    loops lost low lower lowering
    machine macro mail mail's mailbox mailbox's mailboxes mailer mailers mailing mails maintain maintained maintenance malformed malicious malware manage management manager
    manual manually many mapping mark marked match matched matches matching max maxed maximum mean means mechanism media member members memory message
    message's message-id messages method milter mime minimum minute minutes misconfiguration misconfigured mismatch missing mistake mistyped mode moderated moderation module moment
    monitoring month moved msg msgs mta mtas multi multiple mx mxs
    name named names native nature necessary nested network networks never new newsletter nobody node noop normal normally notice notification notify notified nul null number numbers
    object obsolete obtain occured occurred octet octets offered offline often ok okay old online open opened opening operate operation operator operational option optional
    options order organisation organization organization's origin original originated originates originating outbound outbreak outgoing outside overload overloaded overquota overrun oversized
    owned owner owners
    page paid parameter parameters parse parsing part partial particular parties partner parts party pass passed passes passing password path pattern patterns paused payload peer penalty pending percent
    percentage perform performed period periods permanent permanently permissible permission permissions permit permits permitted person person's phishing pipeline pipelined
    pipelining pipe plain plan platform point pointer points policies policy poor pop pop3 port portion possible possibly post posted poster posting postmaster postmasters potential potentially pre
    precedence predefined preference present prevent prevented preventing prevents previous previously prior priority private privileges probable probably problem
    problems proceed process processed processing product profile prohibited prohibition proofpoint properly proposed protect protected protection protocol prove provide provided provider providers
    provides provisioned proxy ptr public published purchase pure purpose
    qualified quality quarantine quarantined query queried question queue queued queueing queues quickly quit quota quotas
    random range rate rate-limit rate-limited ratelimit ratelimited rates rating rbl rcpt rcpthosts rdns reach reachable reached reaching read reading ready real reason reasons receive
    received receiver receiver's receivers receives receiving recent recently recipient recipient's recipients recipients' recognised recognize recognized reconfigure reconnect record records recovery
    redirect reduce refer reference refused refuses refusing regarding region register registered regular regulation reject rejected rejecting rejection rejections rejects relate related relay
    relayed relaying relays released reliable remain remaining remedy remote remotely remove removal removed rename repeat repeated repeatedly replace replaced reply report reported
    reporting reports representative reputation request requested requests require required requirement requirements requires requiretls resend reserved reset resolution resolve
    resolved resolver resolvers resolving resource resources respond responding response responses responsible restarted restarting restrict restricted restriction restrictions result resulted results retried
    retry retrying return returned returns reuse reverse reversed review rewrite rfc rfcs rights risk risky robot root round route routed routes routing row rset rule rules run running
    safe said sasl satisfy saturated save saved say says scan scanned scanner scanning scheduled scheme score scored search second seconds section secure secured security seen segment
    select self send sender sender's senderid senderbase senders sending sends sent separate sequence server server's servers service services session sessions set setting settings setup several shared
    shortage short shorter show shut shutdown shutting sign signature signatures signed significant similar simultaneous simultaneously single site size sizes slow slowly slow-down smarthost smtp smtps smtputf8
    snowshoe socket soft software source spaces space spam spammer spammers spamhaus spamcop spamming spamtrap spamtraps sorbs special specific specification specified specify speed
    spf spoof spoofed spoofing spool sql srs ssl stale standard standards start started starting starttls state stated statement status stay step steps
    stop stopped storage store stored stores storing stream strict string strong subpart strongly structure style subject submission submit submitted submitting subscribe subscribed subscriber subsequent
    success successful successfully sufficient support supported supporting supports suppression suspect suspected suspicion suspend suspended suspicious switch synchronization synchronisation
    syntactically syntax system system's systems
    table tables tag tagged take taken talk target task tcp technical temp temporal temporarily temporary tenant tenantattribution term terminate terminated terminating terms test tested testing text third
    thread threat threshold thresholds throttle throttled throttling time timed timeout timeouts times tls token tokens tool took total track traffic trailing transaction
    transactions transfer transferred transient transit transmission transmit transport trap treat tried tries trigger triggered true trust trusted try trying turn turned twice type types
    ube uce ucebox umlaut unable unacceptable unaccepted unallocated unassigned unauthenticated unauthorised unauthorized unavailable undefined undeliverable
    understand understood unencrypted unexpected unfortunately unimplemented unique unknown unlisted unlock unmonitored unqualified unreachable unreadable unrecognised unrecognized unreliable unrouteable unroutable
    unsafe unsolicited unsubscribe unsubscribed unsupported untrusted unusual unusually unverified unwanted update updated updates upgrade upstream uri url urls usage user user's userid username users
    utf8 utf-8
    valid validate validated validation validity valued variable verification verified verifies verify verifying version violate violated violates violating violation violations virtual
    virus viruses visit vol volume volumes vrfy vulnerable
    wait waiting wanted warning way weak web webmail website week welcome whitelist whitelisted widely window windows word words work working worm write writing
    written wrong zone zombie zone's
    able badmailfrom based big blackhole characteristics chkuser creating credit credits databytes directions framework identities inbounds journal journaling learn
    localhost meet meets nullmx precede precedes presents socketerror succeed succeeds tempgreylisted therefore trouble typos unnecessary view
    authrequired nosuchuser overquotatemp overquota overquotaperm receivingrate resolver.rst.authrequired resolver.adr.recipnotfound resolver.adr.recipientnotfound
    resolver.rst.sendernotauthenticatedforgroup resolver.rst.notauthorized recipnotfound recipientnotfound sendernotauthenticatedforgroup notauthorized
    storedrv.deliver storedrv.submit quotaexceededexception submissionquotaexceededexception unsolicitedratelimiterror unsolicitedmessageerror unauthenticatederror
    ses:sendrawemail ses:sendemail dns_rbl no_such_user mailbox_full user_unknown
    tss01 tss02 tss03 tss04 tss05 tss06 tss07 tss08 tss09 tss10 tss11 tss12 tss13 tss14 gl01 ts01 ts02 ts03 ts04 bl21 bl23 ph01 cs01 ipts04 mxin603 s3140 s3150 s77719 s775
    sc-001 sc-002 sc-003 sc-004 dy-001 dy-002 ou-001 ou-002 rp-001 rp-002 rp-003 hvu:b1 hvu:b2 rly:b1 rly:b2 rly:b3 rly:ch rly:ch2 rly:bd dyn:t1 cnn:b1 dns:nr
    tls1.0 tls1.1 tls1.2 tls1.3 tlsv1 tlsv1.2 tlsv1.3 rfc821 rfc822 rfc2821 rfc2822 rfc3207 rfc3463 rfc5321 rfc5322 rfc6531 rfc7208 rfc7505 8bitmime 8bit 7bit";

const HOSTS: &str = "
    support.google.com www.google.com postmaster.google.com senders.yahooinc.com postmaster.yahooinc.com help.yahoo.com postmaster.yahoo.com
    postmaster.verizonmedia.com postmaster.aol.com postmaster.info.aol.com mail.live.com postmaster.live.com sendersupport.olc.protection.outlook.com
    sender.office.com aka.ms go.microsoft.com learn.microsoft.com technet.microsoft.com support.microsoft.com docs.microsoft.com support.apple.com
    postmaster.gmx.net postmaster.gmx.de postmaster.web.de postmaster.1und1.de postmaster.t-online.de postmaster.mail.ru help.mail.ru yandex.com yandex.ru help.yandex.ru
    service.mail.qq.com mail.163.com postmaster.free.fr postmaster.laposte.net postmaster.orange.fr r.orange.fr postmaster.comcast.net postmaster.att.net
    www.spamhaus.org check.spamhaus.org spamhaus.org zen.spamhaus.org sbl.spamhaus.org xbl.spamhaus.org pbl.spamhaus.org sbl-xbl.spamhaus.org dbl.spamhaus.org
    www.spamcop.net bl.spamcop.net www.barracudacentral.org barracudacentral.org b.barracudacentral.org bbl.barracudacentral.org www.abuseat.org cbl.abuseat.org
    www.sorbs.net dnsbl.sorbs.net psbl.org psbl.surriel.com www.uceprotect.net dnsbl-1.uceprotect.net dnsbl-2.uceprotect.net dnsbl-3.uceprotect.net
    multi.uribl.com black.uribl.com www.uribl.com multi.surbl.org www.surbl.org ix.dnsbl.manitu.net bl.mailspike.net truncate.gbudb.net all.s5h.net
    bl.score.senderscore.com senderscore.org www.senderscore.org spamrl.com
    ipcheck.proofpoint.com support.proofpoint.com csi.cloudmark.com community.mimecast.com rspamd.com www.open-spf.org www.openspf.net
    www.rfc-editor.org tools.ietf.org datatracker.ietf.org";
