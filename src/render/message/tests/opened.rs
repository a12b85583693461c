//! Parts that programs open as something else than the text that is judged (row P3).

use super::{plan, refusal, simple};

const NAME: &str = "{{person.first_name}}";
const BLOCK: &str = "{{#if (eq person.first_name \"Ann\")}}vip{{/if}}";

/// With a person's value in place of `@@`, with a block that depends on one, and with a value of the job.
fn refused(header: &str, body: &str, word: &str) {
    let whole = |value: &str| simple(header, &body.replace("@@", value));
    for value in [NAME, BLOCK] {
        let fault = refusal(&whole(value));
        assert!(fault.detail.contains(word) && fault.detail.contains("fix: "), "{header}{body}: {fault}");
    }
    plan(&whole("{{send.number}}")).unwrap_or_else(|fault| panic!("{header}{body}: {fault}"));
}

fn taken(header: &str, body: &str) {
    plan(&simple(header, &body.replace("@@", NAME)))
        .unwrap_or_else(|fault| panic!("{header}{body}: {fault}"));
}

const XHTML: &str = "Content-Type: application/xhtml+xml; charset=utf-8\r\n";

#[test]
fn p3_what_only_a_reader_of_xml_sees_is_refused_beside_a_person() {
    for (body, word) in [
        (
            "<html xmlns:h=\"http://www.w3.org/1999/xhtml\"><h:form action=\"https://t.example/\"><h:p>@@</h:p></h:form></html>",
            "prefix",
        ),
        ("<html><s:svg><s:text>@@</s:text></s:svg></html>", "prefix"),
        ("<html xmlns=\"http://www.w3.org/2000/svg\"><p>@@</p></html>", "xmlns"),
        ("<html><body><div xmlns=\"urn:x\">@@</div></body></html>", "xmlns"),
        ("<html><body><p xlink:href=\"https://t.example/\">@@</p></body></html>", "prefix"),
        ("<html><body xml:base=\"https://t.example/\"><p>@@</p></body></html>", "prefix"),
        ("<!DOCTYPE html [<!ENTITY a \"https://t.example/?\">]><html><p>&a;@@</p></html>", "document type"),
        ("<!DOCTYPE html SYSTEM \"https://t.example/x.dtd\"><html><p>&a;@@</p></html>", "document type"),
        (
            "<!DOCTYPE html PUBLIC \"-//W3C//DTD XHTML 1.0 Strict//EN\" \"https://t.example/x.dtd\"><html><p>@@</p></html>",
            "document type",
        ),
        (
            "<?xml version=\"1.0\"?><?xml-stylesheet href=\"https://t.example/x.xsl\"?><html><p>@@</p></html>",
            "processing",
        ),
        ("<?xml version=\"1.0\" encoding=\"utf-7\"?><html><p>@@</p></html>", "encoding"),
        ("<html><title><img src='https://t.example/? @@'/></title></html>", "title"),
        ("<html><title/><p>@@</p><title></title></html>", "title"),
        ("<html><!--><p title=\"--><img src='https://t.example/? \">@@</p></html>", "comment"),
        ("<html><p>@@</p><br/ ></html>", "quotes"),
    ] {
        refused(XHTML, body, word);
    }
    refused(
        "Content-Type: application/xml\r\n",
        "<rss><channel><title>@@</title></channel></rss>",
        "first element",
    );
    refused("Content-Type: text/xml\r\n", "<a><b>@@</b></a>", "first element");
    refused("Content-Type: application/rss+xml\r\n", "<rss><title>@@</title></rss>", "rss+xml");
}

#[test]
fn p3_plain_xhtml_takes_a_person() {
    let whole = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\r\n<!DOCTYPE html PUBLIC \"-//W3C//DTD XHTML 1.0 Transitional//EN\" \
                 \"http://www.w3.org/TR/xhtml1/DTD/xhtml1-transitional.dtd\">\r\n<html xmlns=\"http://www.w3.org/1999/xhtml\" \
                 xml:lang=\"en\" lang=\"en\"><head><meta charset=\"utf-8\"/><title>Hi @@</title><style>p > a {color:red}</style></head>\
                 <body><!--[if mso]><p>x</p><![endif]--><!--[if !mso]><!--><p class='a'>Hi @@,</p><!--<![endif]--><br/>\
                 <a href=\"https://shop.example/?s={{send.number}}\">x</a></body></html>";
    for kind in ["application/xhtml+xml", "application/xml", "text/xml"] {
        taken(&format!("Content-Type: {kind}; charset=utf-8\r\n"), whole);
        taken(&format!("Content-Type: {kind}; name=letter.xhtml\r\n"), whole);
    }
    taken(XHTML, "<!DOCTYPE html><html><p>@@</p></html>");
    taken(XHTML, "<p>@@ {{#if data.order}}<b>x</b>{{/if}}</p>");
}

#[test]
fn p3_a_file_named_as_another_kind_takes_no_person() {
    for name in [
        "x.html",
        "X.HTM",
        "x.xhtml",
        "x.shtml",
        "x.mht",
        "x.svg",
        "x.svgz",
        "x.xml",
        "x.xsl",
        "x.eml",
        "x.msg",
        "x.hta",
        "x.url",
        "x.webloc",
        "x.lnk",
        "x.desktop",
        "x.doc",
        "x.rtf",
        "x.js",
        "x.vbs",
        "x.wsf",
        "x.md",
        "x.csv",
        "x.txt.html",
        "x.html. .",
    ] {
        for header in [
            format!("Content-Type: text/plain; name=\"{name}\"\r\n"),
            format!("Content-Type: text/plain\r\nContent-Disposition: inline; filename=\"{name}\"\r\n"),
            format!("Content-Type: text/plain; name=a.txt\r\nContent-Disposition: inline; filename=a.txt; filename*=utf-8''{name}\r\n")
                .replace(". .", ".%20."),
            format!("Content-Disposition: inline; filename*0=\"{}\"; filename*1=\"{}\"\r\n", &name[..3], &name[3..]),
        ] {
            refused(&header, "Dear @@", "whose file is named .");
        }
    }
    for header in [
        "Content-Type: text/html; name=x.xhtml\r\n",
        "Content-Type: text/html; name=x.mht\r\n",
        "Content-Type: text/csv; name=x.html\r\n",
        "Content-Type: application/json; name=x.html\r\n",
    ] {
        refused(header, "\"@@\"", "whose file is named .");
    }
}

#[test]
fn p3_a_file_named_as_its_type_takes_a_person() {
    for header in [
        "Content-Type: text/plain; name=letter.txt\r\n",
        "Content-Type: text/plain; name=letter\r\n",
        "Content-Type: text/plain\r\nContent-Disposition: inline; filename*0=\"a letter.t\"; filename*1=xt\r\n",
        "Content-Type: text/csv; name=report.csv\r\nContent-Disposition: inline; filename=report.csv\r\n",
        "Content-Type: text/html; name=letter.html\r\n",
        "Content-Type: application/json; name=a.json\r\n",
        "Content-Type: text/html\r\nContent-Disposition: inline\r\n",
    ] {
        taken(header, "\"@@\"");
    }
    taken(
        "Content-Type: text/calendar; name=invite.ics\r\nContent-Disposition: attachment; filename=invite.ics\r\n",
        "SUMMARY:@@\r\n",
    );
    taken("Content-Type: application/octet-stream; name=me.vcf\r\n", "FN:@@\r\n");
}

#[test]
fn p3_texts_of_which_nobody_judges_the_links_take_no_person() {
    for kind in [
        "text/rtf",
        "text/richtext",
        "text/enriched",
        "text/markdown",
        "text/x-markdown",
        "text/tab-separated-values",
        "text/css",
        "text/javascript",
        "text/x-web-markdown",
        "text/svg+xml",
        "text/x-html",
    ] {
        refused(&format!("Content-Type: {kind}; charset=utf-8\r\n"), "Dear @@", "nobody judges");
    }
}
