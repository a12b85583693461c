// Sends messages with emailjs, as told on standard input, and says what became of each on standard output.
//
// {"packages", "port", "ca", "user", "password", "messages": [{"from", "to", "subject", "text", "html"}]}

import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

const told = JSON.parse(readFileSync(0, "utf8"));
const { SMTPClient } = await import(pathToFileURL(`${told.packages}/emailjs/dist/index.js`).href);

const results = [];
for (const message of told.messages) {
    const client = new SMTPClient({
        host: "localhost", port: told.port, user: told.user, password: told.password, timeout: 20000,
        tls: { ca: readFileSync(told.ca) }, authentication: ["PLAIN"],
    });
    const { html, attachments, textEncoding, ...rest } = message;
    const attachment = html ? [{ data: html, alternative: true, inline: true }] : [];
    for (const file of attachments ?? []) {
        // By itself it writes an encoded word within quotation marks, which is none (RFC 2047 §5).
        const headers = { "content-disposition": `attachment; filename="${file.filename}"` };
        attachment.push({ data: file.content, encoded: true, type: "application/octet-stream", name: file.filename, headers });
    }
    try {
        await client.sendAsync({ ...rest, attachment });
        results.push({ to: message.to, accepted: true });
    } catch (error) {
        results.push({ to: message.to, accepted: false, responseCode: error.smtp, response: String(error.message) });
    }
    client.smtp.close();
}
process.stdout.write(JSON.stringify(results));
