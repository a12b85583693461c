//! Whatever cuts a stream into lines, messages or replies: the answer must not depend on how the stream came in pieces,
//! and has to be the one that a plain reading of the RFC gives.

use crate::{fuzz, pieces};
use bytes::Bytes;
use tokenrelay::wire::data::{BareLf, ChunkFramer, DataFramer};
use tokenrelay::wire::dot;
use tokenrelay::wire::line::{Framed, LineFramer, LineKind};
use tokenrelay::wire::ndjson::{Frame, Framer};
use tokenrelay::wire::reply::{LINE_OCTETS_MAX, Reply, ReplyFramer};

const LINE_ENDS: &[&[u8]] = &[
    b"\r\n.\r\n",
    b"\r\n",
    b"\n.\r\n",
    b"\r\n.\n",
    b"\r.\r",
    b"\r\n..\r\n",
    b"\r\n. \r\n",
    b"\r\n.\0\r\n",
    b"\r\r\n",
    b"MAIL FROM:<a@b.example>\r\nRCPT TO:<e_1234567890@tokens.example>\r\nDATA\r\n",
];

/// The message and the octets it took, `None` while it goes on.
type Cut = Result<Option<(Vec<u8>, usize)>, ()>;

#[test]
fn data() {
    let seeds: &[&[u8]] =
        &[b".\r\n", b"Subject: x\r\n\r\nbody\r\n..stuffed\r\n.\r\nMAIL FROM:<>\r\n", b"a\r\nb\n.\r\nc"];
    fuzz(seeds, LINE_ENDS, |stream, mutator| {
        let wanted = plain_reading(stream);
        assert_eq!(data_in(&[stream]), wanted);
        assert_eq!(data_in(&pieces(stream, mutator)), wanted);
        if let Ok(Some((message, octets))) = &wanted {
            assert!(*octets <= stream.len() && !has_stray_line_end(message));
            // What is sent on is one message, the same, and nothing behind it.
            let mut again = dot::stuffed(message);
            again.extend_from_slice(dot::FINAL_DOT);
            assert_eq!(data_in(&[&again]), Ok(Some((message.clone(), again.len()))));
            assert!(!dot::has_dot_after_bare_line_end(message));
        }
        wanted.map(|cut| cut.map(|(message, octets)| (message.len() / 8, octets == stream.len())))
    });
}

fn data_in(pieces: &[&[u8]]) -> Cut {
    let (mut framer, mut message, mut octets) = (DataFramer::new(BareLf::Refuse), Vec::new(), 0);
    for piece in pieces {
        let taken = framer.take(piece, &mut message);
        octets += taken.octets;
        if framer.fault().is_some() {
            return Err(());
        }
        if taken.is_complete {
            return Ok(Some((message, octets)));
        }
        assert_eq!(taken.octets, piece.len(), "all of a piece is used while the message goes on");
    }
    Ok(None)
}

/// RFC 5321 §4.1.1.4 and §4.5.2, line by line.
fn plain_reading(stream: &[u8]) -> Cut {
    let (mut message, mut start) = (Vec::new(), 0);
    loop {
        let Some(at) = stream[start..].iter().position(|octet| b"\r\n\0".contains(octet)) else {
            return Ok(None);
        };
        let end = start + at;
        match (stream[end], stream.get(end + 1)) {
            (b'\r', Some(b'\n')) => {}
            (b'\r', None) => return Ok(None),
            _ => return Err(()),
        }
        match &stream[start..end] {
            b"." => return Ok(Some((message, end + 2))),
            line => message.extend_from_slice(line.strip_prefix(b".").unwrap_or(line)),
        }
        message.extend_from_slice(b"\r\n");
        start = end + 2;
    }
}

fn has_stray_line_end(message: &[u8]) -> bool {
    let without = String::from_utf8_lossy(message).replace("\r\n", "");
    without.contains(['\r', '\n', '\0'])
}

#[test]
fn bdat() {
    let seeds: &[&[u8]] = &[b"Subject: x\r\n\r\nbody\r\n.\r\nMAIL FROM:<>\r\n", b"a", b"", b"a\r\n.\r\n"];
    fuzz(seeds, LINE_ENDS, |content, mutator| {
        let mut wanted = Err(());
        if !has_stray_line_end(content) {
            let end: &[u8] = if content.is_empty() || content.ends_with(b"\r\n") { b"" } else { b"\r\n" };
            wanted = Ok([content, end].concat());
        }
        assert_eq!(chunks_in(&[content], |chunk| vec![chunk]), wanted);
        let chunks = pieces(content, mutator);
        // Behind each chunk stand commands, which are not its business.
        assert_eq!(chunks_in(&chunks, |chunk| pieces(chunk, mutator)), wanted);
        wanted.map(|message| message.len() / 8)
    });
}

fn chunks_in<'c>(chunks: &[&'c [u8]], mut cut: impl FnMut(&'c [u8]) -> Vec<&'c [u8]>) -> Result<Vec<u8>, ()> {
    let (mut framer, mut message) = (ChunkFramer::new(BareLf::Refuse), Vec::new());
    for chunk in chunks {
        framer.begin(chunk.len() as u64);
        let mut is_complete = chunk.is_empty();
        for piece in cut(chunk).into_iter().filter(|piece| !piece.is_empty()) {
            assert!(!is_complete);
            let taken = framer.take(piece, &mut message);
            assert_eq!(taken.octets, piece.len());
            is_complete = taken.is_complete;
        }
        assert!(is_complete);
        let taken = framer.take(b"RSET\r\n\0\n", &mut message);
        assert_eq!((taken.octets, taken.is_complete), (0, true), "what stands behind the chunk is left");
    }
    framer.finish(&mut message);
    framer.fault().map_or(Ok(message), |_| Err(()))
}

#[test]
fn lines() {
    let seeds: &[&[u8]] =
        &[b"EHLO x\r\nMAIL FROM:<a@b.example> SIZE=10\r\n", b"AUTH PLAIN AGEAYg==\r\nQUIT\r\n"];
    fuzz(seeds, LINE_ENDS, |stream, mutator| {
        let whole = lines_in(&[stream]);
        assert_eq!(lines_in(&pieces(stream, mutator)), whole);
        let (lines, fault) = whole;
        for line in &lines {
            assert!(!line.iter().any(|octet| b"\r\n\0".contains(octet)));
        }
        (lines.len(), fault)
    });
}

/// The lines until the end or until the first that cannot be one.
fn lines_in(pieces: &[&[u8]]) -> (Vec<Vec<u8>>, bool) {
    let (mut framer, mut input, mut found) = (LineFramer::default(), Vec::new(), Vec::new());
    for piece in pieces {
        input.extend_from_slice(piece);
        loop {
            match framer.frame(&input, LineKind::Command) {
                Ok(Framed::Line { length }) => found.push(input.drain(..length + 2).take(length).collect()),
                Ok(Framed::NeedMore) => break,
                Err(_) => return (found, true),
            }
        }
    }
    (found, false)
}

#[test]
fn replies() {
    let seeds: &[&[u8]] = &[
        b"250 2.0.0 Ok\r\n",
        b"250-mx.test\r\n250-SIZE 1000\r\n250 CHUNKING\r\n354 go\r\n",
        b"550-5.1.1 <a@b.test>\n550 5.1.1 no\n",
        b"421\r\n",
    ];
    fuzz(seeds, &[b"250-", b"250 ", b"\r\n", b"5.1.1 ", b"999 "], |stream, mutator| {
        let whole = ReplyFramer::default().find_end(stream);
        let mut framer = ReplyFramer::default();
        let (mut upto, mut split) = (0, Ok(None));
        for piece in pieces(stream, mutator) {
            upto += piece.len();
            split = framer.find_end(&stream[..upto]);
            if !matches!(split, Ok(None)) {
                break;
            }
        }
        // In pieces a line that is too long may be noticed before its end is seen; a good reply is the same.
        assert_eq!(split.is_err(), whole.is_err());
        if let Ok(Some(end)) = whole {
            assert_eq!(split, Ok(Some(end)));
            let reply = Reply::parse(&stream[..end]).expect("what is framed can be read");
            assert!((200..600).contains(&reply.code.basic));
            for line in reply.lines() {
                assert!(line.len() <= LINE_OCTETS_MAX && !line.contains(&b'\n'));
            }
            return (Some(reply.code.basic), reply.code.enhanced.is_some(), reply.lines().count());
        }
        (None, whole.is_err(), 0)
    });
}

#[test]
fn ndjson() {
    let seeds: &[&[u8]] = &[
        b"{\"a\":1}\n{\"b\":2}\r\n\n  \n{}",
        b"\xef\xbb\xbf{}\n",
        b"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n{}\n",
    ];
    fuzz(seeds, &[b"\n", b"\r\n", b"\xef\xbb\xbf", b"{\"job_id\":\"1\"}"], |stream, mutator| {
        let max = 1 + mutator.below(48);
        let whole = frames_in(&[stream], max);
        assert_eq!(frames_in(&pieces(stream, mutator), max), whole);
        for frame in &whole {
            if let Frame::Line { bytes, .. } = frame {
                assert!(bytes.len() <= max && !bytes.contains(&b'\n'));
            }
        }
        let too_long = whole.iter().filter(|frame| matches!(frame, Frame::TooLong { .. })).count();
        (whole.len(), too_long)
    });
}

fn frames_in(pieces: &[&[u8]], max: usize) -> Vec<Frame> {
    let (mut framer, mut found) = (Framer::new(max), Vec::new());
    for piece in pieces {
        framer.push(Bytes::copy_from_slice(piece));
        while let Some(frame) = framer.next_frame() {
            found.push(frame);
        }
        assert!(framer.held_bytes() <= max + 4);
    }
    found.extend(framer.finish());
    found
}
