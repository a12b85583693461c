//! The commands around a message: what of them a target can take, and their octets in one group (RFC 2920).

use super::delivery::{Delivery, EightBit};
use super::ehlo::Capabilities;
use crate::fault::{Fault, ReplyCode};
use std::io::Write;
use std::sync::Arc;
use zeroize::Zeroizing;

/// Room for RSET, MAIL with every parameter, RCPT and DATA or BDAT at their longest, so that the group never grows and
/// leaves an address behind.
const GROUP_OCTETS: usize = 1024;

/// What a session lacks for a delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Misfit {
    /// 8BITMIME, for content that can be rendered in 7 bits.
    SevenBit,
    /// Something no other rendering helps with: the refusal such a target would give.
    Lacks(Fault),
}

/// Whether this session can take the delivery at all. Nothing needs to be sent to know.
pub(super) fn judge(
    delivery: &Delivery,
    offered: Capabilities,
    is_tls: bool,
    target: &Arc<str>,
) -> Result<(), Misfit> {
    let octets = delivery.message.len() as u64;
    if offered.size_octets_max.is_some_and(|max| octets > max) {
        return Err(Misfit::Lacks(Delivery::too_large(target)));
    }
    let lacking = |code, what: &str| {
        let detail = format!("target {target} does not offer {what}, which this message needs");
        Err(Misfit::Lacks(Fault::refused(code, detail).at(target)))
    };
    if delivery.needs_smtputf8() && !offered.smtputf8 {
        return lacking(ReplyCode::new(553, 5, 6, 7), "SMTPUTF8");
    }
    if delivery.require_tls && !(is_tls && offered.require_tls) {
        return lacking(ReplyCode::new(550, 5, 7, 30), "REQUIRETLS");
    }
    match &delivery.eight_bit {
        _ if offered.eight_bit_mime => Ok(()),
        EightBit::None => Ok(()),
        EightBit::Fixed(part) => Err(Misfit::Lacks(Fault::needs_eight_bit(part).at(target))),
        // Header fields in UTF-8 stay in 8 bits however the content is rendered (RFC 6531 §3.6).
        EightBit::Convertible if delivery.needs_smtputf8() => {
            lacking(ReplyCode::new(554, 5, 6, 3), "8BITMIME")
        }
        EightBit::Convertible => Err(Misfit::SevenBit),
    }
}

/// Command octets that hold an address: one buffer per session, overwritten with zeros after each use.
pub(super) struct Group {
    octets: Zeroizing<Vec<u8>>,
}

impl Group {
    pub fn new() -> Self {
        Self { octets: Zeroizing::new(Vec::with_capacity(GROUP_OCTETS)) }
    }

    pub fn as_slice(&self) -> &[u8] {
        &self.octets
    }

    pub fn clear(&mut self) {
        self.octets.fill(0);
        self.octets.clear();
    }

    pub fn reset(&mut self) -> &mut Self {
        self.literal(b"RSET\r\n")
    }

    pub fn data(&mut self) -> &mut Self {
        self.literal(b"DATA\r\n")
    }

    /// BDAT for content that goes in one chunk (RFC 3030 §2).
    pub fn last_chunk(&mut self, octets: usize) -> &mut Self {
        // Writing into a Vec cannot fail.
        let _ = write!(*self.octets, "BDAT {octets} LAST\r\n");
        debug_assert!(self.octets.capacity() == GROUP_OCTETS, "the group grew");
        self
    }

    /// MAIL with the parameters that the delivery needs and the target offers.
    pub fn mail(&mut self, delivery: &Delivery, offered: Capabilities) -> &mut Self {
        self.literal(b"MAIL FROM:<").literal(delivery.sender.as_bytes()).literal(b">");
        if offered.size {
            // Writing into a Vec cannot fail.
            let _ = write!(*self.octets, " SIZE={}", delivery.message.len());
        }
        if delivery.eight_bit != EightBit::None {
            self.literal(b" BODY=8BITMIME");
        }
        if delivery.needs_smtputf8() {
            self.literal(b" SMTPUTF8");
        }
        if delivery.require_tls {
            self.literal(b" REQUIRETLS");
        }
        self.literal(b"\r\n")
    }

    pub fn recipient(&mut self, delivery: &Delivery) -> &mut Self {
        self.literal(b"RCPT TO:<").literal(delivery.recipient.reveal().as_bytes()).literal(b">\r\n")
    }

    fn literal(&mut self, octets: &[u8]) -> &mut Self {
        self.octets.extend_from_slice(octets);
        debug_assert!(self.octets.capacity() == GROUP_OCTETS, "the group grew");
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::Message;
    use crate::personal::Personal;

    fn delivery() -> Delivery {
        Delivery {
            message: Message::from(b"Subject: x\r\n\r\ny\r\n".to_vec()),
            sender: String::from("bounce@relay.test"),
            recipient: Personal::new(String::from("dana@post.test")),
            whom: crate::inject::Whom::of(0),
            eight_bit: EightBit::None,
            smtputf8: false,
            require_tls: false,
            give_up_at: None,
            on_offer: None,
            person: None,
        }
    }

    #[test]
    fn parameters_are_given_only_when_needed_and_offered() {
        let mut group = Group::new();
        group.reset().mail(&delivery(), Capabilities::default()).recipient(&delivery()).data();
        let wanted = "RSET\r\nMAIL FROM:<bounce@relay.test>\r\nRCPT TO:<dana@post.test>\r\nDATA\r\n";
        assert_eq!(group.as_slice(), wanted.as_bytes());
        group.clear();
        let every =
            Delivery { eight_bit: EightBit::Convertible, smtputf8: true, require_tls: true, ..delivery() };
        group.mail(&every, Capabilities { size: true, ..Capabilities::default() });
        let wanted = "MAIL FROM:<bounce@relay.test> SIZE=17 BODY=8BITMIME SMTPUTF8 REQUIRETLS\r\n";
        assert_eq!(group.as_slice(), wanted.as_bytes());
    }

    #[test]
    fn the_longest_group_fits_the_buffer() {
        let address = "é".repeat(160);
        let longest = Delivery {
            sender: address.clone(),
            recipient: Personal::new(address),
            eight_bit: EightBit::Convertible,
            smtputf8: true,
            require_tls: true,
            ..delivery()
        };
        let offered = Capabilities { size: true, ..Capabilities::default() };
        let mut group = Group::new();
        group.reset().mail(&longest, offered).recipient(&longest).last_chunk(usize::MAX);
        assert!(group.as_slice().len() + 16 < GROUP_OCTETS);
    }

    #[test]
    fn what_a_target_cannot_take_is_known_beforehand() {
        let name: Arc<str> = "mta1".into();
        let judge = |delivery: &Delivery, offered| judge(delivery, offered, true, &name);
        let none = Capabilities::default();
        assert_eq!(judge(&delivery(), none), Ok(()));
        let eight_bit = Delivery { eight_bit: EightBit::Convertible, ..delivery() };
        assert_eq!(judge(&eight_bit, none), Err(Misfit::SevenBit));
        let utf8 = Delivery { recipient: Personal::new(String::from("דנה@post.test")), ..delivery() };
        let Err(Misfit::Lacks(fault)) = judge(&utf8, none) else { panic!() };
        assert_eq!(fault.reply, Some(ReplyCode::new(553, 5, 6, 7)));
        let small = Capabilities { size: true, size_octets_max: Some(5), ..none };
        let Err(Misfit::Lacks(fault)) = judge(&delivery(), small) else { panic!() };
        assert_eq!(fault.reason, crate::fault::Reason::TooLarge);
        let utf8_in_8_bits = Delivery { eight_bit: EightBit::Convertible, ..utf8 };
        let Err(Misfit::Lacks(fault)) = judge(&utf8_in_8_bits, Capabilities { smtputf8: true, ..none })
        else {
            panic!("another rendering would not help")
        };
        assert_eq!(fault.reply, Some(ReplyCode::new(554, 5, 6, 3)));
        let fixed = Delivery { eight_bit: EightBit::Fixed("part 1.2".into()), ..delivery() };
        let Err(Misfit::Lacks(fault)) = judge(&fixed, none) else {
            panic!("another rendering would not help")
        };
        assert!(!fault.is_transient() && fault.detail.starts_with("part 1.2 has 8-bit"), "{fault}");
        assert_eq!(judge(&fixed, Capabilities { eight_bit_mime: true, ..none }), Ok(()));
        let require_tls = Delivery { require_tls: true, ..delivery() };
        assert!(judge(&require_tls, none).is_err());
    }
}
