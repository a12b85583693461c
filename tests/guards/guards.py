"""The guards against leaks: where each stands, what stands there without it, and the tests that have to notice."""

from typing import NamedTuple


class Guard(NamedTuple):
    name: str
    file: str
    on: str
    off: str
    # Arguments of `cargo test`.
    tests: str


GUARDS = [
    # What an engine is told depends on no value.
    Guard("judged-for-everybody", "src/render/program.rs", "if has_forks(&self.ops) { Flow::Forked } else { Flow::Even }", "Flow::Even",
          "--lib p1_"),
    Guard("faults-of-values", "src/render/plan.rs", "Err(_) => Err(Fault::of_values()),", "Err(fault) => Err(fault),", "--lib p1_"),
    Guard("coarse-times", "src/pipeline.rs", "if accepted.has_ways() {", "if false {", "--test it p1_"),
    Guard("size-for-everybody", "src/pipeline.rs", "match plan.fit(&self.facts(job, &now), size, octets_max)? {",
          "let _ = &now;\n        match if size.octets > octets_max { Fit::TooLarge } else { Fit::Fits } {", "--test it p1_"),
    Guard("bytes-compared", "src/render/effort.rs", "if self.compared.get() > COMPARED_BYTES_MAX {", "if self.compared.get() == usize::MAX {", "--lib p1_"),
    Guard("slowed-down", "src/pipeline.rs", "self.guesses.count(&job.engine.name);", "", "--test it guesses"),
    # Control flow carries no value.
    Guard("branches", "src/render/compile.rs", "lints = verdict.lints;", "", "--lib p2_"),
    Guard("values-in-branches", "src/render/compile.rs", "program.watched = verdict.watched;", "drop(verdict.watched);", "--lib p2_"),
    # Parsers differ.
    Guard("tree", "src/render/compile.rs", "lints = unfit;", "", "--lib p3_"),
    Guard("places", "src/render/compile.rs", "let mut lints = place_values(&mut program.ops, &text, &tree);",
          "let mut lints = place_values(&mut program.ops, &text, &tree);\n    lints.clear();", "--lib p3_"),
    Guard("words-of-outlook", "src/render/compile.rs", "lints.extend(outlook_words::joined(&program.ops, &program.fixed, place));",
          "lints.truncate(lints.len() + usize::from(outlook_words::joined(&program.ops, &program.fixed, place).is_some()));", "--lib p3_outlook"),
    Guard("styles-that-see", "src/render/markup/styles.rs", "find(|(word, _)| is_in(word))", "find(|(word, _)| is_in(word) && word.is_empty())", "--lib p3_"),
    Guard("fonts", "src/render/markup/styles.rs", "what_sees_letters(css, whole, &declared))", "what_sees_letters(css, whole, &declared).filter(|_| false))", "--lib p3_"),
    Guard("unknown-rules", "src/render/markup/styles.rs", "any(|css| has_unknown_rule(css))", "any(|css| has_unknown_rule(css) && css.is_empty())", "--lib p3_"),
    Guard("sheets-within", "src/render/branch/style.rs", "load.kind != Kind::Sheet && load.address", "load.address", "--lib p2_"),
    Guard("fonts-of-services", "src/render/branch/style.rs", "is_plain_font_face(written) && is_served(written)", "is_plain_font_face(written) && loads(written).is_empty()", "--lib p3_"),
    Guard("frames", "src/render/markup/active.rs", "=> return Some(FRAME),", "=> {}", "--lib p3_"),
    Guard("programs", "src/render/markup/active.rs", "if attributes.iter().any(runs) {", "if attributes.iter().all(runs) && attributes.is_empty() && element.is_empty() {", "--lib p3_"),
    Guard("chosen-by-data", "src/render/markup/active.rs", "(may_be_any(\"loading\") || may_be_any(\"sizes\"))", "(may_be_any(\"loading\") && element.is_empty())", "--lib p3_"),
    Guard("markup-that-sees", "src/render/run.rs", "Watch::Sheet => match sees() {", "Watch::Sheet => match sees().filter(|_| false) {", "--lib p2_"),
    Guard("hidden-by-rules", "src/render/branch.rs", "self.report.loads.extend(self.report.hidden.found());", "drop(self.report.hidden.found());", "--lib p2_"),
    Guard("data-in-microdata", "src/render/microdata.rs", "!written.contains(\"http-equiv\")", "!written.is_empty()", "--lib p3_"),
    Guard("read-by-programs", "src/render/markup/nodes.rs", "if self.is_for_machines(node) {", "if self.is_for_machines(node) && self.list.borrow().is_empty() {", "--lib p3_"),
    Guard("open-links", "src/render/branch/words.rs", "None => closing_sign(&text()),", "None => closing_sign(&text()).filter(|_| false),", "--lib p2_"),
    Guard("formulas", "src/render/compile.rs", "formula::judge(&program.ops, &text));", "formula::judge(&program.ops, &text).filter(|_| false));", "--lib p3_"),
    Guard("values-as-formulas", "src/render/escape.rs", "if is_number(&field) {", "if is_number(&field) || !field.is_empty() {", "--lib p3_"),
    # Memory.
    Guard("sweep", "src/resolve/mod.rs", "runtime.spawn(cache::sweep_while_filled(&cache));", "drop((runtime, &cache));", "--lib p4_"),
    # Old data put back.
    Guard("replayed-rows", "src/vault/reader.rs", "Ok(opened) if roll.is_latest(db, keys, person, opened.seal)? != Ok(true) => {",
          "Ok(opened) if roll.is_latest(db, keys, person, opened.seal)?.is_err() => {", "--lib p5_"),
    Guard("missing-rows", "src/vault/reader.rs", "if roll.is_complete(db, keys, Stretch::of(&hash))? != Ok(true) {",
          "if roll.is_complete(db, keys, Stretch::of(&hash))?.is_err() {", "--lib p5_"),
    # A template's purpose binds.
    Guard("purpose", "src/engine.rs", "if terms.allow(purpose) { Ok(purpose) } else { Err(terms.contradicted_by(purpose)) }",
          "if terms.allow(purpose) || true { Ok(purpose) } else { Err(terms.contradicted_by(purpose)) }", "--lib p6_"),
    # Placeholders are filled or refused.
    Guard("shown-placeholders", "src/render/shown.rs", "text.contains(\"{{\")\n        || syntax == Syntax::ContentLines",
          "false\n        || syntax == Syntax::ContentLines", "--lib p8_"),
    # What targets say.
    Guard("closed-vocabulary", "src/report/gist.rs", "gist.told().unwrap_or_else(|| phrase(code).to_owned())",
          "gist.told().unwrap_or_else(|| reply.words().map(|(token, _)| token.to_string()).collect())", "--lib p9_"),
    Guard("names-in-replies", "src/report/gist.rs", "if is_marked || names.have_a_word_of(&words.text) => {", "if words.text.is_empty() && is_marked && names.have_a_word_of(&words.text) => {", "--lib p9_"),
    # Receipts and later mail.
    Guard("later-mail", "src/render/later_mail.rs", "is_resent || FIELDS.iter().any(|known| known.eq_ignore_ascii_case(name))",
          "is_resent && FIELDS.iter().any(|known| known.eq_ignore_ascii_case(name))", "--lib p10_"),
    Guard("senders", "src/engine.rs", "if self.senders.as_ref().is_none_or(|senders| senders.cover(address)) {", "if !address.is_empty() {",
          "--test it p10_"),
    # Guessing.
    Guard("locked-sources", "src/accept/http/auth.rs", "_ if wait.is_zero() => Standing::Open,", "_ if wait >= Duration::ZERO => Standing::Open,", "--lib p11_"),
    Guard("open-keys", "src/cli/private.rs", "(!exposed.is_empty()).then(|| told(&exposed))", "exposed.get(1_000).map(|_| told(&exposed))", "--test it p11_"),
    # Grants.
    Guard("fields", "src/pipeline/accept.rs", ".find(|field| !job.engine.may_reveal(field))", ".find(|_| false)", "--test it engine"),
    Guard("headers-for-people", "src/render/leak.rs", "FOR_PEOPLE.iter().any(|known| known.eq_ignore_ascii_case(name))", "!name.is_empty()",
          "--lib render::"),
]
