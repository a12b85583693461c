// A first MTA made with smtp-server, as told by the first line of standard input:
//
// {"port", "port_tls", "cert", "key", "user", "password", "mailbox", "options": {...}}

import { createRequire } from "node:module";
import { readFileSync, renameSync, writeFileSync } from "node:fs";
import { createInterface } from "node:readline";

// Where its packages are is given by NODE_PATH, which only require() looks at.
const { SMTPServer } = createRequire(import.meta.url)("smtp-server");

function refusal(code, text) {
    return Object.assign(new Error(text), { responseCode: code });
}

let taken = 0;

function server(told, secure) {
    return new SMTPServer({
        key: readFileSync(told.key), cert: readFileSync(told.cert), secure, disableReverseLookup: true, logger: false, ...told.options,
        onAuth(auth, _session, done) {
            const isRight = auth.username === told.user && auth.password === told.password;
            done(isRight ? null : refusal(535, "wrong user or password"), { user: auth.username });
        },
        onRcptTo(recipient, _session, done) {
            done(recipient.address.startsWith("refuse-") ? refusal(550, `no mailbox here by the name <${recipient.address}>`) : null);
        },
        onData(stream, session, done) {
            const name = `${taken++}.eml`;
            const pieces = [];
            stream.on("data", (piece) => pieces.push(piece));
            stream.on("end", () => {
                if (stream.sizeExceeded) return done(refusal(552, "message too large"));
                const head = session.envelope.rcptTo.map((recipient) => `X-Original-To: ${recipient.address}\n`).join("");
                // Lines as a mailbox has them; latin1 leaves every byte as it is.
                const content = Buffer.concat([Buffer.from(head), ...pieces]).toString("latin1").replaceAll("\r\n", "\n");
                writeFileSync(`${told.mailbox}/tmp/${name}`, content, "latin1");
                renameSync(`${told.mailbox}/tmp/${name}`, `${told.mailbox}/new/${name}`);
                done(null, "taken");
            });
        },
    });
}

createInterface({ input: process.stdin }).once("line", (line) => {
    const told = JSON.parse(line);
    for (const [port, secure] of [[told.port, false], [told.port_tls, true]]) {
        const each = server(told, secure);
        each.on("error", (error) => console.error(error.message));
        each.listen(port, "127.0.0.1");
    }
});
