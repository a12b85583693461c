//! Where a value about a person may not stand: what clients read otherwise than they are told.

use super::program::{Program, Syntax};

fn is_refused(source: &str, syntax: Syntax) -> bool {
    match Program::compile(source, syntax, "t") {
        Ok(_) => false,
        Err(lints) => {
            assert!(lints.iter().all(|lint| !lint.cause.is_empty() && !lint.fix.is_empty()));
            true
        }
    }
}

fn check(syntax: Syntax, refused: &[&str], taken: &[&str]) {
    for source in refused {
        assert!(is_refused(source, syntax), "taken: {source}");
    }
    for source in taken {
        let lints = Program::compile(source, syntax, "t").err();
        assert!(lints.is_none(), "refused: {source}: {lints:?}");
    }
}

#[test]
fn p3_attributes_that_nobody_listed() {
    check(
        Syntax::Html,
        &[
            "<form action-xhr=\"https://third.example/{{person.email}}\">",
            "<div action-xhr=\"//third/{{person.email}}\"></div>",
            "<svg fill=\"{{person.email}}\"></svg>",
            "<svg><rect mask=\"url(//third/{{person.email}})\"/></svg>",
            "<svg><a><set attributeName=href to=\"//third/{{person.email}}\"/></a></svg>",
            "<svg><animate attributeName=href values=\"//third/{{person.email}}\"/></svg>",
            "<svg><rect cursor=\"url(//third/{{person.email}})\"/></svg>",
            "<svg><rect filter=\"url(//third/{{person.email}})\"/></svg>",
            "<svg><path marker-start=\"url(//third/{{person.email}})\"/></svg>",
            "<object><param name=movie value=\"//third/{{person.email}}\"></object>",
            "<form action=\"https://third.example/\"><input type=hidden name=e value=\"{{person.email}}\"></form>",
            "<form action=\"https://third.example/\"><button name=e value=\"{{person.email}}\">x</button></form>",
            "<input name=\"{{person.email}}\">",
            "<select><option value=\"{{person.email}}\">x</option></select>",
            "<p class=\"{{person.city}}\">x</p>",
            "<p id=\"{{person.city}}\">x</p>",
            "<p data-x=\"{{person.city}}\">x</p>",
            "<a target=\"{{person.city}}\">x</a>",
            "<a rel=\"{{person.city}}\">x</a>",
            "<a download=\"{{person.city}}\">x</a>",
            "<td width=\"{{person.city}}\">x</td>",
            "<td bgcolor=\"{{person.city}}\">x</td>",
            "<meta name=\"{{person.city}}\">",
            "<meta name=x content=\"{{person.city}}\">",
            "<link rel=stylesheet title=\"{{person.city}}\">",
            "<embed title=\"{{person.city}}\">",
            "<amp-img [alt]=\"{{person.city}}\"></amp-img>",
            "<input type=image alt=\"{{person.city}}\">",
            "<img attributionsrc=\"//third/{{person.email}}\">",
            "<a hreflang=\"{{person.city}}\">x</a>",
            "<p itemprop=\"{{person.city}}\">x</p>",
            "<p title=\"third.example/u?e={{person.email}}\">x</p>",
        ],
        &[
            "<img alt=\"{{person.first_name}}\"><p title='{{person.first_name}}' lang=\"{{person.language}}\">x</p>",
            "<a href=\"https://shop.example/\" aria-label=\"For {{person.first_name}}\">x</a>",
            "<p class=\"{{data.tier}}\" data-x=\"{{data.x}}\">x</p><input value=\"{{data.x}}\">",
        ],
    );
}

#[test]
fn p3_links_that_clients_make_by_themselves() {
    check(
        Syntax::Html,
        &[
            "https&#58;//third.example/{{person.email}}",
            "https&#x3a;//third.example/{{person.email}}",
            "https&#58//third.example/{{person.email}}",
            "https&colon;//third.example/{{person.email}}",
            "https:&sol;&sol;third.example/{{person.email}}",
            "https:/<wbr>/third.example/{{person.email}}",
            "https:<!-- x -->//third.example/{{person.email}}",
            "https://third.example/<wbr>{{person.email}}",
            "https://third.example/<!-- x -->{{person.email}}",
            "https://third.example/<b>{{person.email}}</b>",
            "<i>https://third</i>.example/{{person.email}}",
            "ht<b></b>tps://third.example/{{person.email}}",
            "https:&shy;//third.example/&ZeroWidthSpace;{{person.email}}",
            "<?x ?>www.<?y ?>third.example/{{person.email}}",
            "third.example/u?e={{person.email}}",
            "third&period;example/u?e={{person.email}}",
            "third&#46;example/u?e={{person.email}}",
            "third.<wbr>example/{{person.email}}",
            "th<span>ird.exam</span>ple/<span>{{person.email}}</span>",
            "{{person.first_name}}.third.example",
            "{{person.first_name}}@third.example",
            "mailto&colon;{{person.email}}",
            "www&period;third/{{person.email}}",
            "{{#if data.a}}third{{else}}other{{/if}}.example/{{person.email}}",
            "third.{{#if data.a}}example{{/if}}/{{person.email}}",
            "third.example{{#if data.a}} {{else}}/{{/if}}{{person.email}}",
            "{{#each data.l}}{{this}}.{{/each}}example/{{person.email}}",
            "{{person.email}}{{#if data.a}}.third{{/if}}.example",
            "third.example&#{{data.n}};{{person.email}}",
            "ht&#11{{#if data.a}}6{{/if}};ps://x{{person.email}}",
        ],
        &[
            "<p>Visit www.shop.example</p><p>{{person.first_name}}</p>",
            "<table><tr><td>shop.example/x</td><td>{{person.first_name}}</td></tr></table>",
            "www.shop.example<br>{{person.first_name}}",
            "<p>{{person.email}}</p>",
            "<p>Dear {{person.first_name}}.</p><p>We …</p>",
            "&copy; shop.example &middot; {{person.first_name}}&nbsp;{{person.last_name}}",
            "<a href=\"https://shop.example/\">{{person.first_name}}, look</a>",
            "<p title=\"For {{person.first_name}}\">www.shop.example</p>",
            "1 < 2 {{person.first_name}}",
        ],
    );
    check(
        Syntax::Text,
        &[
            "third.example/u?e={{person.email}}",
            "third.example?{{person.email}}",
            "see third.example:8080/{{person.email}}",
            "{{person.first_name}}.third.example",
            "192.0.2.7/{{person.email}}",
            "third\u{ad}.example/{{person.email}}",
            "пример.рф/{{person.email}}",
        ],
        &[
            "shop.example/x\n{{person.first_name}}",
            "{{person.email}}, {{person.phone}}.",
            "a/b {{person.first_name}}",
        ],
    );
}

#[test]
fn p3_lines_of_calendars_are_read_unfolded() {
    check(
        Syntax::ContentLines,
        &[
            "UR\r\n L:https://third.example/{{person.email}}",
            "URL:https://third.example/?\r\n e={{person.email}}",
            "URL:https://third.example/?\n{{#if data.a}} {{/if}}{{person.email}}",
            "URL:https://third.example/?\n{{#if data.a}} e={{person.email}}{{/if}}\nX:y",
            "URL:x\n{{#if data.a}}\tx{{person.email}}{{/if}}",
            "DESCRIPTION:https://third.example/?\n{{#if data.a}} e={{person.email}}{{/if}}",
            "{{#if data.a}}URL:x\n{{else}}NOTE:x\n{{/if}} y{{person.email}}",
            "ATTACH;FMTTYPE=image/png:https://third.example/{{person.email}}",
            "CONFERENCE;VALUE=URI:https://third.example/{{person.email}}",
            "IMAGE;VALUE=URI:https://third.example/{{person.email}}",
            "X-ALT-DESC;FMTTYPE=text/html:<img src=\"//third/{{person.email}}\">",
            "X-ALT-DESC;FMTTYPE=text/html:<img alt=\"{{person.email}}\">",
            "X-ALT-DESC;FMTTYPE=text/html:<textarea>{{person.email}}</textarea>",
            "STRUCTURED-DATA:{{person.email}}",
            "X-GOOGLE-CONFERENCE:{{person.email}}",
            "UID:{{person.email}}",
            "DESCRIPTION:third.example/{{person.email}}",
            "SUMMARY;ALTREP=\"https://third.example/{{person.email}}\":x",
        ],
        &[
            "BEGIN:VCARD\nFN:{{person.first_name}}\nEMAIL:{{person.email}}\nEND:VCARD\n",
            "SUMMARY:For {{person.first_name}}\nURL:https://shop.example/{{data.x}}\nUID:{{send.number}}\n",
            "{{#if data.a}}LOCATION:{{data.a}}\n{{/if}}SUMMARY:{{person.first_name}}\n",
            "{{#each data.l}}COMMENT:{{this}}\n{{/each}}SUMMARY:{{person.first_name}}\n",
            "X-ALT-DESC;FMTTYPE=text/html:<p>{{person.first_name}}</p>",
            "ATTENDEE;CN={{person.first_name}}:mailto:{{person.email}}\nDESCRIPTION:https://shop.example/\\n{{person.city}}\n",
        ],
    );
}

#[test]
fn b_the_button_of_outlook_may_hold_what_the_job_says() {
    let button = |value: &str| {
        format!(
            "{{{{person.first_name}}}}<!--[if mso]><v:roundrect href=\"https://shop.example/?c={value}\">x</v:roundrect>\
             <![endif]--><!--[if !mso]><!--><a href=\"https://shop.example/?c={{{{send.number}}}}\">x</a><!--<![endif]-->"
        )
    };
    let taken = ["{{send.number}}", "{{data.x}}", "{{send.campaign}}"].map(button);
    let refused = ["{{person.email}}", "{{{send.number}}}", "{{{data.x}}}"].map(button);
    let mut refused: Vec<&str> = refused.iter().map(String::as_str).collect();
    // Behind it Outlook would read on.
    refused.extend([
        "{{person.email}}<!--[if mso]><a href=\"https://shop.example/?c={{send.number}}<![endif]-->",
        "{{person.email}}<!--[if mso]><a href=\"https://shop.example/?c={{data.x}}<![endif]-->",
        "<!--{{send.number}}>",
        "<!--{{send.number}}--!><a href=\"{{person.email}}\">",
        "<!{{send.number}}>",
    ]);
    check(Syntax::Html, &refused, &taken.each_ref().map(String::as_str));
}
