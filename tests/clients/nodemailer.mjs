// Sends messages with nodemailer, as told on standard input, and says what became of each on standard output.
//
// {"port", "ca", "user", "password", "mode": "plain" | "pooled", "messages": [{"to", "subject", ...}]}

import { createRequire } from "node:module";
import { readFileSync } from "node:fs";

// Where its packages are is given by NODE_PATH, which only require() looks at.
const nodemailer = createRequire(import.meta.url)("nodemailer");
const told = JSON.parse(readFileSync(0, "utf8"));

function transport() {
    return nodemailer.createTransport({
        host: "127.0.0.1", port: told.port, secure: false, requireTLS: true,
        auth: { user: told.user, pass: told.password }, tls: { ca: readFileSync(told.ca) },
        pool: told.mode === "pooled", maxConnections: 3, maxMessages: 20,
    });
}

async function send(transporter, message) {
    const attachments = (message.attachments ?? []).map((file) => ({ ...file, content: Buffer.from(file.content, "base64") }));
    try {
        const sent = await transporter.sendMail({ ...message, attachments });
        return { to: message.to, accepted: sent.accepted, response: sent.response };
    } catch (error) {
        return { to: message.to, code: error.code, responseCode: error.responseCode, response: error.response, command: error.command };
    }
}

let results = [];
if (told.mode === "pooled") {
    const transporter = transport();
    results = await Promise.all(told.messages.map((message) => send(transporter, message)));
    transporter.close();
} else {
    for (const message of told.messages) {
        const transporter = transport();
        results.push(await send(transporter, message));
        transporter.close();
    }
}
process.stdout.write(JSON.stringify(results));
