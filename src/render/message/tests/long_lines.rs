//! Header lines past what a line may hold (RFC 5322 §2.1.1), as they come in messages and as values make them.

use super::*;

fn header_lines(message: &[u8]) -> Vec<String> {
    let message = text(message);
    let (header, _) = message.split_once("\r\n\r\n").unwrap();
    header.split("\r\n").map(str::to_owned).collect()
}

#[test]
fn c4_long_fields_of_every_kind_are_folded() {
    let ids =
        |between: &str, id: &str| vec![format!("<{id}.{}@shop.example>", "i".repeat(20)); 60].join(between);
    for (name, value) in [
        ("References", ids(" ", "a")),
        ("References", ids("", "{{data.order}}")),
        ("References", ids(" ", "{{data.order}}")),
        ("In-Reply-To", ids("", "a")),
        ("List-Unsubscribe", ids(",", "{{data.order}}")),
        ("List-Help", ids(", ", "a")),
        ("X-Words", "word ".repeat(500)),
        ("X-Words", "{{data.order}} ".repeat(500)),
        ("X-Word", "x".repeat(2000)),
        ("Subject", "{{person.first_name}}, ".repeat(300)),
        ("Subject", "שלום ".repeat(300)),
        ("Reply-To", vec!["Somebody At Our Shop <somebody@shop.example>"; 60].join(",")),
        ("Cc", vec!["{{person.first_name}} <a@shop.example>"; 60].join(",")),
        ("Content-Type", format!("text/plain; name=\"{}\"", "n".repeat(1500))),
    ] {
        let message = render(&simple(&format!("{name}: {value}\r\n"), "x\r\n"));
        for line in header_lines(&message) {
            assert!(line.len() <= 78, "{name}: {} bytes in {line}", line.len());
        }
    }
}

#[test]
fn c4_what_has_no_place_to_fold_is_refused_by_the_name_of_its_field() {
    let url =
        |filler: &str| format!("List-Unsubscribe: <https://shop.example/{}{filler}>\r\n", "u".repeat(990));
    // Known when the message comes; and only when a value fills it.
    let refused = refusal(&simple(&url(""), "x\r\n"));
    assert!(refused.detail.contains("List-Unsubscribe"), "{refused}");
    let filled = finish(&simple(&url("{{data.order}}"), "x\r\n"), Transfer::SevenBit, &dana()).unwrap_err();
    assert_eq!(filled.reason, Reason::TooLarge);
    assert!(filled.detail.contains("List-Unsubscribe") && !filled.detail.contains("uuu"), "{filled}");
}

#[test]
fn c4_a_signed_part_with_such_a_line_is_refused_for_it_cannot_be_folded() {
    let part = |line: &str| {
        simple(
            "MIME-Version: 1.0\r\nContent-Type: multipart/signed; protocol=\"application/pgp-signature\"; boundary=b\r\n",
            &format!(
                "--b\r\nContent-Type: text/plain\r\nX-Long: {line}\r\n\r\nx\r\n--b\r\nContent-Type: \
                 application/pgp-signature\r\n\r\ns\r\n--b--\r\n"
            ),
        )
    };
    assert!(text(&render(&part(&"word ".repeat(190)))).contains(&"word ".repeat(190)));
    let refused = refusal(&part(&"word ".repeat(250)));
    assert!(refused.detail.contains("X-Long") && refused.detail.contains("signed"), "{refused}");
}
