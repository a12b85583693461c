//! What goes on over blanks: links within angles and quotes, and tags in calendars.

use super::run_as;
use crate::render::program::{Program, Syntax};

#[test]
fn p3_what_a_job_begins_in_texts_and_calendars_ends_there() {
    let event = "BEGIN:VEVENT\r\nDESCRIPTION:{{data.x}} {{person.email}}\r\nEND:VEVENT\r\n";
    for value in ["<a href=\"https://third.example/?", "<https://third.example/?", "<style>", "a<b"] {
        assert!(run_as(Syntax::ContentLines, event, value).is_err(), "{value}");
    }
    for value in ["<a href=\"https://shop.example/\">x</a>", "a < b", "https://shop.example/"] {
        assert!(run_as(Syntax::ContentLines, event, value).is_ok(), "{value}");
    }
    let text = "{{data.x}} {{person.email}}>";
    assert!(run_as(Syntax::Text, text, "a <https://third.example/?").is_err());
    assert!(run_as(Syntax::Text, text, "a <https://shop.example/> \"b").is_ok());
    assert!(run_as(Syntax::Text, "{{data.x}} b", "a <https://shop.example/").is_ok());
    for text in
        ["<https://third.example/? {{person.email}}>", "<https://third.example/? {{#if person.vip}}a{{/if}}>"]
    {
        assert!(Program::compile(text, Syntax::Text, "t").is_err(), "{text}");
    }
}
