//! What real targets say for good to RCPT and to the content, by whose it is: one line a saying, as logs, manuals and source of
//! MTAs have them (addresses as `reply.scrubbed()` leaves them).

use super::*;

/// Of the machine, the account, the route or the target's own state: nobody's who is written to.
const OF_THE_TARGET: &[&str] = &[
    "550 SMTP AUTH is required for message submission on port 587",
    "554 5.7.1 [address]: Recipient address rejected: SMTP AUTH is required",
    "550 5.7.1 Rejected: IP listed at bl.example.net",
    "550 host [192.0.2.1] is listed on psbl.surriel.com",
    "554 Message rejected: Sending suspended for this account.",
    "554 Transaction failed: Configuration Set <x> does not exist.",
    "501 Connection rejected by policy [7.7] 20805",
    "550 Submitter failed to authenticate",
    "554 Host network, not allowed",
    "554 RBL Reject.",
    "550 5.7.7 Email failed iprev check.",
    "553 5.7.2 [TSS09] All messages from 192.0.2.1 will be permanently deferred; Retrying will NOT succeed.",
    "554 IP=192.0.2.1 - Dialup/transient IP not allowed. Use a mailgateway/smarthost",
    // Lists of machines.
    "554 5.7.1 Service unavailable; Client host [192.0.2.1] blocked using zen.spamhaus.org",
    "550 5.7.1 Service unavailable, Client host [192.0.2.1] blocked using Spamhaus. To request removal from this list see https://www.spamhaus.org/query/ip/192.0.2.1 (AS3130)",
    "550 5.7.1 Mail from IP 192.0.2.1 was rejected due to listing in Spamhaus SBL.",
    "550 5.7.1 Unfortunately, messages from [192.0.2.1] weren't sent. Please contact your Internet service provider since part of their network is on our block list (S3140).",
    "550 5.7.1 Unfortunately, messages from [192.0.2.1] weren't sent. Part of their network is on our block list (S3150).",
    "550 SC-001 (SNT004) Unfortunately, messages from 192.0.2.1 weren't sent.",
    "550 5.7.606 Access denied, banned sending IP [192.0.2.1]. To request removal see https://sender.office.com/",
    "550 5.7.511 Access denied, banned sender[192.0.2.1]. To request removal forward this message",
    "550-5.7.1 [192.0.2.1] Our system has detected an unusual rate of\r\n550-5.7.1 unsolicited mail originating from your IP address.\r\n550 5.7.1 mail sent from your IP address has been blocked.",
    "550-5.7.1 The IP you're using to send mail is not authorized to\r\n550 5.7.1 send email directly to our servers. Our system has detected an unusual rate",
    "550-5.7.1 [192.0.2.1] The IP address sending this message does not have a PTR record setup\r\n550 5.7.1 x",
    "553 5.7.1 [BL21] Connections will not be accepted from 192.0.2.1, because the ip is in Spamhaus's list",
    "553 Mail from 192.0.2.1 not allowed - 5.7.1 [BL23] Connections not accepted from IP addresses on Spamhaus XBL",
    "554 Denied [SHXBL] - Denied by Spamhaus XBL",
    "550 192.0.2.1 blacklisted see http://www.spamhaus.org/query/bl?ip=192.0.2.1",
    "550 5.2.1 Mailbox unavailable. Your IP address 192.0.2.1 is blacklisted using SPAMHAUS-XBL.",
    "550 5.7.0 Your server IP address is in the SpamHaus SBL-XBL database, bye",
    "550 5.7.1 Client address [192.0.2.1] blocked. You are in the SPAMMER List",
    "550 5.7.1 The IP address was rejected by the Realtime Block List provider",
    "550 5.7.1 Connecting host [192.0.2.1] is listed by the lookup site",
    "550-IP 192.0.2.1 is blacklisted (xbl). Help at www.mfaq.info\r\n550 x",
    "550-Rejected message because 192.0.2.1 is in a black list at sbl-xbl\r\n550 x",
    "550 Black listed at hostkarma",
    "550 5.7.1 Recipient not authorized, your IP has been found on a block list",
    "554 Your access to this mail system has been rejected due to the sending MTA's poor reputation.",
    "554 5.5.4 Your IP 192.0.2.1 address has a bad reputation.",
    "550 The sending IP (192.0.2.1) is listed on https://spamrl.com/.",
    "550 Rejected: 192.0.2.1 is listed at work.drbl.example.net",
    "550 Rejected due to DNSBL server response (dnsbl.cobion.com - 192.0.2.1)",
    "553 5.3.0 flph825 DNSBL:ATTRBL 521< 192.0.2.1 >_is_blocked.",
    "554 resimta-po-11v found on one or more DNSBLs",
    "550 JunkMail rejected - [hostname] [192.0.2.1]:39153 is in an RBL on csi.cloudmark.com",
    "550 mwinf5c14 ME Adresse IP source bloquee pour incident de spam. Client host blocked for spamming issues.",
    "550 csi.mimecast.org Poor Reputation Sender. - https://community.mimecast.com/docs/DOC-1369#550 [x]",
    "554 5.7.0 Blocked - see https://ipcheck.proofpoint.com/?ip=192.0.2.1",
    "550 permanent failure for one or more recipients ([address]:blocked)",
    "550 email blocked by bb.barracudacentral.org",
    "550 #5.7.1 Your access to submit messages to this e-mail system has been rejected.",
    "554 5.7.1 You are not allowed to connect",
    "554 (RTR:BL)",
    "554 IP=192.0.2.1 - A problem occurred. (Ask your postmaster for help or to contact x to clarify.) (BL)",
    "550 Too many invalid recipients",
    "550 We do not accept mail from hosts with dynamic IP or generic DNS PTR-records",
    "554 5.7.1 Rejected based on geographical location",
    // Its name.
    "550 5.7.1 <host.test>: Helo command rejected: Host not found",
    "504 5.5.2 <localhost>: Helo command rejected: need fully-qualified hostname",
    "550 Invalid HELO",
    "550 HELO host name does not exist in DNS",
    "550 5.7.25 Client host rejected: cannot find your reverse hostname, [192.0.2.1]",
    "550 5.7.1 Connections not accepted from servers without a valid name. Fix reverse DNS for 192.0.2.1",
    "554 No PTR Record found.",
    "550 5.7.1 all mail servers must have a PTR record with a valid Reverse DNS entry",
    "550 Access denied. IP name lookup failed [192.0.2.1]",
    // Relaying, authentication, TLS.
    "554 5.7.1 <[address]>: Relay access denied",
    "550 5.7.1 <[address]>... Relaying denied. Proper authentication required.",
    "550 5.1.2 Relay not allowed.",
    "550 relay not permitted",
    "550 5.7.1 Unable to relay",
    "550 5.7.54 SMTP; Unable to relay recipient in non-accepted domain",
    "553 Relaying disallowed",
    "553 sorry, that domain isn't in my list of allowed rcpthosts (#5.7.1)",
    "553 you are trying to use me [x] as a relay, but I have not been configured to let you do this. (#5.7.1)",
    "550 Delivery is not allowed to this address.",
    "550 I cannot deliver mail for {[address]}",
    "550 we don't handle mail for this domain",
    "554 Open relay not allowed - https://community.mimecast.com/docs/DOC-1369#554 [x]",
    "550 5.7.1 External client with IP address 192.0.2.1 does not have permissions to submit to this server.",
    "530 5.7.0 Must issue a STARTTLS command first",
    "530 5.7.0 Authentication required",
    "530 SMTP authentication is required.",
    "550 5.7.10 Encryption needed",
    "550 You must use TLS to send mail here",
    // The account, and what is paid for.
    "550 5.2.0 Your account has been blocked, contact us",
    "550 5.7.1 License exceeded",
    "550 License has expired",
    "550 5.7.1 number of users in the licence reached",
    "554 Sending account is disabled",
    // The route and the target's state.
    "554 5.4.6 Too many hops",
    "554 too many hops, this message is looping (#5.4.6)",
    "554 5.4.14 Hop count exceeded - possible mail loop ATTR1",
    "550 5.7.1 Hop count exceeded",
    "554 5.4.0 Error: too many hops",
    "550 message probably in a routing loop",
    "550 5.3.2 system not accepting network messages",
    "550 System not accepting network messages",
    "554 server is not accepting messages at this time",
    "550 Down for maintenance",
    "550 5.3.5 Local configuration error",
    "554 5.0.0 mail server configuration error",
    "550 5.7.1 Administrative prohibition",
    "550 Administrative prohibition",
    "554 Service unavailable",
    "550-Requested action not taken: mailbox unavailable\r\n550 Failure sending mail. Try again later",
    "550 Please try again later",
    "550 Temporary local problem - please try later",
    "554 5.7.1 greylisted, come back in 300 seconds",
];

/// Of how much this relay sends.
const OF_THE_RATE: &[&str] = &[
    "550 Ip frequency limited.",
    "550 Domain shop.test has exceeded the max defers and failures per hour (5/5 (100%)) allowed. Message discarded.",
    "554 5.7.1 [address]: Recipient address rejected: Policy rejection; Message count quota exceeded",
    "554 5.7.1 [address]: Recipient address rejected: Throttle quota exceeded",
    "550 5.4.5 Daily user sending quota exceeded",
    "550 daily sending limit exceeded",
    "550-5.4.5 Daily SMTP relay sending limit exceeded for customer.\r\n550 5.4.5 x",
    "550 5.7.1 message rate exceeded",
    "550 Domain x.test has exceeded the max emails per hour (100/100)",
    "554 Sending rate exceeded, slow down",
    "550 Too many emails from this host",
    "550 Exceeding outbound thread limit - https://community.mimecast.com/docs/DOC-1369#550 [x]",
    "550 5.1.90 Your message can't be sent because you've reached your daily limit",
    "550 submission limit reached",
];

/// One mailbox gets too much for now, which is no reason to send others less.
const OF_THE_RATE_OF_A_MAILBOX: &[&str] = &[
    "452 4.2.2 The recipient has exceeded their limit for the number of messages they can receive per hour",
    "452-4.5.3 The recipient has exceeded their limit for the number of messages they\r\n452 4.5.3 can receive per hour.",
    "450-4.2.1 The user you are trying to contact is receiving mail at a rate that\r\n450-4.2.1 prevents additional messages from being delivered. Please resend your\r\n450 4.2.1 message at a later time.",
    "450-4.2.1 The user you are trying to contact is receiving mail too quickly.\r\n450 4.2.1 Please resend your message at a later time.",
    "450 User is receiving mail too quickly",
    "450 4.2.1 The recipient has exceeded message rate limit. Try again later.",
    "432 4.3.2 STOREDRV.Deliver; recipient thread limit exceeded",
    "451 Rate limit for this recipient exceeded, 20 per hour",
    "451 Hourly limit for recipient <dana@example.test> reached",
    "451 4.7.1 Ratelimit exceeded for this recipient",
    "450 4.7.1 Too many messages to this recipient, try again later",
];
/// This relay sends too much for now.
const OF_OUR_RATE_FOR_NOW: &[&str] = &[
    "452 Too many recipients received this hour",
    "450 4.7.1 Error: too many recipients from 192.0.2.1",
    "451 4.7.1 Domain x.test has exceeded the max emails per hour",
    "452 4.5.3 Your host has sent too many messages per hour",
    "450 4.7.1 User has exceeded the number of recipients per day",
    "451 4.7.1 Hourly limit for recipients exceeded",
];

/// Of the address or domain that a message is from, and of what it proves.
const OF_A_SENDER: &[&str] = &[
    "554 5.7.1 [address]: Recipient address rejected: Sender login mismatch",
    "554 5.7.1 [address]: Recipient address rejected: Sender is not same as SMTP authenticate username",
    "554 Refused. The domain of your sender address has no mail exchanger (MX).",
    "550 No MX for your FROM address",
    "550 Sender [address] has no A, AAAA, or MX DNS records.",
    "550-Requested action not taken: mailbox unavailable\r\n550 invalid DNS MX or A/AAAA resource record.",
    "550 From: Domain is invalid. Please provide a valid From:",
    "554 Domain brand.example is not allowed to send: The domain is unverified",
    "550 5.7.1 [BFD] Sender prohibited by SPF",
    "501 5.0.1 Emetteur invalide. OFR004_405 [405]",
    "553 host denies the sender.",
    "550 sender is rejected",
    "550 5.7.1 [address]: Recipient address rejected: Message rejected due to: domain owner discourages use of this host.",
    "550 5.7.1 null sender not allowed",
    "550 Null sender is not allowed",
    "553 5.7.1 blocked senders",
    "550 Rejected by header based manually Blocked Senders: x - https://community.mimecast.com/docs/DOC-1369#550 [x]",
    "550 Rejected by header based Anti-Spoofing policy: x - https://community.mimecast.com/docs/DOC-1369#550 [x]",
    "550 Administrative prohibition - envelope blocked - https://community.mimecast.com/docs/DOC-1369#550 [x]",
    "550 5.7.1 <[address]>: Sender address rejected: Access denied",
    "554 5.7.1 <[address]>: Sender address rejected: Domain not found",
    "553 5.1.8 <[address]>... Domain of sender address x does not exist",
    "553 sorry, your envelope sender is in my badmailfrom list (#5.7.1)",
    "550-Verification failed for <[address]>\r\n550-Unrouteable address\r\n550 Sender verify failed",
    "550-Callback setup failed while verifying <[address]>\r\n550 x",
    "550 Sender mailbox does not exist",
    "550 5.7.23 <[address]>: Recipient address rejected: Message rejected due to: SPF fail - not authorized.",
    "550 5.7.1 <[address]>: Recipient address rejected: Please see http://www.openspf.net/Why",
    "550 SPF: 192.0.2.1 is not allowed to send mail from x.test",
    "550 5.7.1 Unauthenticated email from x.test is not accepted due to domain's DMARC policy.",
    "550 5.7.1 Email rejected per DMARC policy for x.test",
    "554 5.7.5 (AU01) Message not accepted, DKIM signature is invalid",
    "550 5.7.26 This mail has been blocked because the sender is unauthenticated.",
    "550 5.7.515 Access denied, sending domain x.test doesn't meet the required authentication level",
    "550 5.7.1 Service unavailable, MailFrom domain is listed in Spamhaus. (S8002)",
    "554 5.7.1 Service unavailable; Sender address [[address]] blocked using dbl.spamhaus.org",
    "550 5.7.1 Your email was rejected due to having a domain present in the Spamhaus DBL",
    "553 5.7.1 <[address]>: Sender address rejected: not owned by user shop",
    "550 5.7.60 SMTP; Client does not have permissions to send as this sender",
    "550 rejecting spoofed message",
    "550 5.7.1 Unconfigured Sending Domain <x.test>",
    "554 Message rejected: Email address is not verified.",
    "550 5.7.1 Sender ID (PRA) Not Permitted",
];

/// The recipient's own.
const OF_THE_RECIPIENT: &[&str] = &[
    "550 5.1.1 <[address]>: Recipient address rejected: User unknown in local recipient table",
    "550 5.1.1 <[address]>: Recipient address rejected: User unknown in virtual mailbox table",
    "550 5.1.1 <[address]>: Recipient address rejected: User unknown in relay recipient table",
    "550 <[address]>: Recipient address rejected: User unknown in relay recipient table",
    "550 5.1.1 <[address]>: Recipient address rejected: undeliverable address: host x said: 554 5.7.1 Relay access denied",
    "550 5.4.1 Recipient address rejected: Access denied. [AS(201806281)]",
    "550 5.4.1 [[address]]: Recipient address rejected: Access denied [x.prod.protection.outlook.com]",
    "550 5.7.1 <[address]>: Recipient address rejected: User email address is marked as invalid.",
    "554 5.7.1 <[address]>: Recipient address rejected: Invalid-Recipient.",
    "554 5.7.1 <[address]>: Recipient address rejected: BLOCK-RCPT.",
    "554 5.7.1 <[address]>: Recipient address rejected: Not in recipient list",
    "554 5.2.2 <[address]>: Recipient address rejected: Quota exceeded (mailbox for user is full)",
    "504 5.5.2 <[removed]>: Recipient address rejected: need fully-qualified address",
    "550-5.1.1 The email account that you tried to reach does not exist. Please try\r\n550 5.1.1 double-checking the recipient's email address",
    "550 5.2.1 The email account that you tried to reach is disabled.",
    "550 5.2.1 The email account that you tried to reach is inactive.",
    "550 5.2.1 The user you are trying to contact is receiving mail at a rate that prevents additional messages",
    "550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient not found by SMTP address lookup",
    "554 5.2.122 The recipient has exceeded their limit for the number of messages they can receive per hour.",
    "550 5.1.1 <[address]>... User unknown",
    "550 sorry, no mailbox here by that name. (#5.1.1)",
    "550 sorry, your envelope recipient is in my badrcptto list (#5.1.1)",
    "550 5.1.2 Mailbox does not exist.",
    "550 No such user here",
    "550 No such user ([address])",
    "550 5.7.1 No such user!",
    "550 Unknown user",
    "550 <[address]>, Recipient unknown",
    "550 Unrouteable address",
    "550 Message was not accepted -- invalid mailbox. Local mailbox x is unavailable: account is disabled",
    "554 delivery error: dd This user doesn't have a yahoo.com account",
    "554 delivery error: dd Sorry, your message cannot be delivered. This mailbox is disabled (554.30).",
    "550 5.2.1 <[address]>... Addressee unknown, relay=[192.0.2.1]",
    "550 5.1.1 Not our Customer",
    "550 5.1.1 recipient mailbox unallocated",
    "550 User suspended",
    "552 recipient storage full, try again later",
    "552 5.2.2 mailbox full",
    "550 Mailbox quota exceeded",
    "552 Mailbox size limit exceeded",
    "550 Envelope blocked - User Entry - https://community.mimecast.com/docs/DOC-1369#550 [x]",
    "550 5.7.1 Blacklisted by recipient",
    "550 You have been blocked by the recipient",
    "550 5.7.1 RESOLVER.RST.NotAuthorized; not authorized",
    "550 5.7.133 RESOLVER.RST.SenderNotAuthenticatedForGroup; authentication required",
    "550-Your message was rejected by this user and was not delivered\r\n550 x",
    "553 5.1.2 The recipient address is not a valid RFC-5321 address.",
    "550 no one at this address; please check it and try again later",
];

/// What only the fate of others tells.
const UNCLEAR: &[&str] = &[
    "501 5.7.1 Permission denied",
    "554 5.7.1 [address]: Recipient address rejected: not today",
    "550 5.7.1 Access denied",
    "550 5.4.1 Access denied",
    "554 5.7.1 <[address]>: Recipient address rejected: Access denied",
    "550 Blocked",
    "550 5.7.0 Local Policy Violation",
    "550 Requested action not taken: mailbox unavailable",
    "550 5.5.0 Requested action not taken: mailbox unavailable. [x.prod.protection.outlook.com]",
    "550 Invalid recipient: <[address]>",
    "550 #5.1.0 Address rejected.",
    "550 5.1.0 Address rejected",
    "554 5.7.1 Delivery not authorized, message refused",
];

/// To the content: the message's form.
const OF_THE_MESSAGE: &[&str] = &[
    "550 5.7.1 Messages missing a valid Message-ID header are not accepted.",
    "550 Missing Message-ID",
    "554 Message not allowed - Headers are not RFC compliant[291]",
    "550-5.7.1 This message is not RFC 5322 compliant.\r\n550 5.7.1 x",
    "550 5.7.512 Access denied, message must be RFC 5322 section 3.6.2 compliant",
    "554 5.6.0 Message contains bare CR",
    "552 5.3.4 Message size exceeds fixed limit",
    "554 Maximum email size reached",
    "552-5.2.3 Your message exceeded Google's message size limits.\r\n552 5.2.3 x",
];

/// To the content: what only the fate of others tells.
const UNCLEAR_OF_THE_CONTENT: &[&str] = &[
    "554 5.7.1 Spam message rejected",
    "550 spam message rejected. Please visit http://help.mail.ru/notspam-support",
    "550-5.7.1 Our system has detected that this message is likely unsolicited mail.\r\n550 5.7.1 x",
    "554 5.7.1 [1] Message rejected under suspicion of SPAM",
    "554 5.7.9 Message not accepted for policy reasons.",
    "550 5.7.1 [CS01] Message rejected due to local policy.",
    "554 Email rejected due to security policies - https://community.mimecast.com/docs/DOC-1369#554 [x]",
    "554 rejected due to spam URL in content",
    "550 Content scanner malfunction",
    "554 5.7.1 Blocked using multi.uribl.com",
    "554 5.7.0 Reject, id=00471-02 - BANNED: .exe",
    "554 5.7.1 Message contained spam content; message-id <x>",
    "550 5.7.1 TRANSPORT.RULES.RejectMessage; the message was rejected by organization policy",
];

/// Something of the target's own is out of order, whatever it says of the message or the person beside it.
const OUT_OF_ORDER_AT_RCPT: &[&str] = &[
    "550 User unknown; directory server is down",
    "550 5.1.1 x@y.example: user unknown (ldap server is down)",
    "550 5.2.0 cannot verify user, database is down",
];
const OUT_OF_ORDER_AT_CONTENT: &[&str] = &[
    "554 5.3.4 disk full",
    "552 5.3.4 Disk full, message not kept",
    "554 5.6.0 cannot store message: No space left on device",
];

/// Those of them that another one would be told of.
fn wrong(command: Command, sayings: &'static [&'static str], expected: Whose) -> Vec<(Whose, &'static str)> {
    let judged = sayings.iter().flat_map(|saying| {
        [0, 9]
            .map(|taken_before| (Example(command, InTurn, taken_before, saying, expected).judge().0, *saying))
    });
    judged.filter(|(whose, _)| *whose != expected).collect()
}

#[test]
fn a3_what_real_targets_say_for_good_finds_its_owner() {
    let groups = [
        (Rcpt, OF_THE_TARGET, Whose::Target),
        (Rcpt, OF_THE_RATE, Whose::Throttle),
        (Rcpt, OF_A_SENDER, Whose::Sender),
        (Rcpt, OF_THE_RECIPIENT, Whose::Recipient),
        (Rcpt, UNCLEAR, Whose::Unclear),
        (Rcpt, OUT_OF_ORDER_AT_RCPT, Whose::Target),
        (Content, OUT_OF_ORDER_AT_CONTENT, Whose::Target),
        (Content, OF_THE_MESSAGE, Whose::Message),
        (Content, UNCLEAR_OF_THE_CONTENT, Whose::Unclear),
    ];
    let wrong: Vec<_> =
        groups.iter().flat_map(|(command, sayings, whose)| wrong(*command, sayings, *whose)).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(groups.iter().map(|(_, sayings, _)| sayings.len()).sum::<usize>() >= 200);
}

#[test]
fn a5_one_mailboxs_rate_is_no_reason_to_send_others_less() {
    let groups = [
        (Rcpt, OF_THE_RATE_OF_A_MAILBOX, Whose::Recipient),
        (Rcpt, OF_OUR_RATE_FOR_NOW, Whose::Throttle),
        (Content, OF_OUR_RATE_FOR_NOW, Whose::Throttle),
    ];
    for (command, sayings, expected) in groups {
        for saying in sayings {
            let (whose, _) = Example(command, InTurn, 0, saying, expected).judge();
            assert_eq!(whose, expected, "{saying}");
        }
    }
}

/// Behind the content the same words are nobody's who is written to either.
#[test]
fn a3_what_is_said_of_the_target_or_a_sender_is_never_the_persons_behind_the_content() {
    for saying in OF_THE_TARGET.iter().chain(OF_A_SENDER).chain(OF_THE_RATE) {
        let (whose, _) = Example(Content, InTurn, 0, saying, Whose::Target).judge();
        assert!(!matches!(whose, Whose::Recipient | Whose::Message), "{whose:?} {saying}");
    }
}

#[test]
fn words_with_a_gap_stand_in_their_order() {
    assert!(says("your ip 192.0.2.1 is blacklisted", "ip*is blacklisted"));
    assert!(!says("is blacklisted, the ip", "ip*is blacklisted"));
    assert!(says("anything", "any") && !says("anything", "some"));
}
