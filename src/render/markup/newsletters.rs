//! Mails as builders, editors and people write them: what is wrong with their HTML moves nothing, so they are taken.

use crate::render::program::{Program, Syntax};

#[test]
fn p3_usual_stumbles_of_newsletters_are_taken() {
    for source in STUMBLES {
        for html in [source.to_string(), framed(source)] {
            let lints = Program::compile(&html, Syntax::Html, "t").err();
            assert!(lints.is_none(), "refused: {html}: {lints:?}");
        }
    }
}

/// In a frame as newsletters have it.
fn framed(inner: &str) -> String {
    format!(
        "<!DOCTYPE html PUBLIC \"-//W3C//DTD XHTML 1.0 Transitional//EN\" \"http://www.w3.org/TR/xhtml1/DTD/xhtml1-transitional.dtd\">\n\
         <html xmlns=\"http://www.w3.org/1999/xhtml\" xmlns:v=\"urn:schemas-microsoft-com:vml\"><head><meta charset=utf-8>\
         <title>News</title><!--[if mso]><xml><o:OfficeDocumentSettings><o:AllowPNG/></o:OfficeDocumentSettings></xml><![endif]-->\
         <style type=\"text/css\">p{{margin:0}}@media only screen{{.c{{width:100%!important}}}}</style></head>\
         <body style=\"margin:0\"><center><table width=\"100%\"><tbody><tr><td align=\"center\">{inner}</td></tr></tbody></table>\
         </center></body></html>\n"
    )
}

const STUMBLES: [&str; 40] = [
    "<p>Dear {{person.first_name}},</p></p><p>x</p>",
    "<p>Dear {{person.first_name}},<p>one<p>two",
    "<p><center>Dear {{person.first_name}},</center></p>",
    "<b><font color=\"red\">{{person.first_name}}</b></font> hello",
    "<b><p>Dear {{person.first_name}}</b></p><p>x</p>",
    "<a href=\"https://shop.example/\"><table><tr><td>{{person.first_name}}</td></tr></table></a>",
    "<a href=\"https://shop.example/\"><div>{{person.first_name}}</div></a>",
    "<div><span>{{person.first_name}}</div></span><br>",
    "<ul><li>{{person.first_name}}<li>x</ul>",
    "<ul>{{#each data.l}}<li>{{this}}</li>{{/each}}</ul>{{person.first_name}}",
    "<table><tr><td>{{person.first_name}}<td>x<tr><td>y</table>",
    "<table><tr><td>{{person.first_name}}</td></tr></td></table><p>x</p>",
    "<table><tr><td>{{person.first_name}}</td></tr></table></td></tr></table>",
    "<table><tr><td>x</td></tr></tr><tr><td>{{person.first_name}}</td></tr></table>",
    "<table><form action=\"https://shop.example/\"><tr><td>{{person.first_name}}</td></tr></form></table>",
    "<table><!-- a comment --><tr>\n<!-- x --><td>{{person.first_name}}</td>\n</tr></table>",
    "<table>&nbsp;<tr><td>{{person.first_name}}</td></tr></table>",
    "<table><tr><td><img src=\"https://shop.example/a.png\" alt=\"\"></td></tr><br></table><p>{{person.first_name}}</p>",
    "{{#each data.items}}{{#if @first}}<tr>{{/if}}<td>{{name}}</td>{{#if @last}}</tr>{{/if}}{{/each}}<p>{{person.first_name}}</p>",
    "<table>{{#each data.items}}<tr><td>{{name}}</td><td>{{price}}</td></tr>{{else}}<tr><td>none</td></tr>{{/each}}</table>{{person.first_name}}",
    "<table>{{#if data.a}}<tr><td>{{data.a}}</td></tr>{{/if}}<tr><td>{{person.first_name}}</td></tr></table>",
    "{{#if data.url}}<a href=\"{{data.url}}\">{{/if}}<img src=\"https://shop.example/a.png\" alt=\"{{person.first_name}}\">{{#if data.url}}</a>{{/if}}",
    "<h1>Hello {{person.first_name}}</h2><p>x</p>",
    "<div style=\"display:none;max-height:0\">Preview of shop.example &#8203;&zwnj;&nbsp;</div><p>{{person.first_name}}</p>",
    "<!--[if mso | IE]><table role=\"presentation\"><tr><td width=\"600\"><![endif]--><div style=\"max-width:600px\">{{person.first_name}}</div><!--[if mso | IE]></td></tr></table><![endif]-->",
    "<!--[if !mso]><!--><p>{{person.first_name}}</p><!--<![endif]-->",
    "<p class=MsoNormal><span lang=EN-US style='font-size:11.0pt'>Dear {{person.first_name}},<o:p></o:p></span></p><p class=MsoNormal><o:p>&nbsp;</o:p></p>",
    "<p class=MsoNormal>{{person.first_name}}<![if !supportLists]><span>&middot;</span><![endif]> one</p>",
    "<?xml:namespace prefix = o ns = \"urn:schemas-microsoft-com:office:office\" /><p>{{person.first_name}}</p>",
    "<!--[if mso]><v:roundrect href=\"https://shop.example/\"><center>Go</center></v:roundrect><![endif]--><p>{{person.first_name}}</p>",
    "<style>.x{color:red}</style><p>{{person.first_name}}</p><style>.y{color:blue}</style>",
    "<p>{{person.first_name}}</p><div><svg width=\"9\"><path d=\"M0 0\"><circle r=\"1\"/></svg> text</div>",
    "<p>{{person.first_name}}</p><video poster=\"https://shop.example/a.png\"><source src=\"https://shop.example/a.mp4\"><img src=\"https://shop.example/a.png\" alt=x></video>",
    "<form action=\"https://shop.example/\"><select name=a><option>Jan<option selected>Feb</select></form> {{person.first_name}}",
    "<noscript><img src=\"https://shop.example/p.gif\"></noscript><p>{{person.first_name}}</p>",
    "<template><p>x</p></template><p>{{person.first_name}}</p>",
    "<div>{{{data.body}}}</div><p>{{person.first_name}}</p>",
    "<table>{{{data.rows}}}</table><p>{{person.first_name}}</p>",
    "<td>{{person.first_name}}</td><td>x</td>",
    "<p>Dear {{person.first_name}}<br/>\n<br></br>See <a href=\"https://shop.example/\">shop.example</a></p></div></div>",
];
