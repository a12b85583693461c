'use strict'
// Haraka's plugin of these tests: it refuses whose local part begins with `refuse-`, and writes every message as a file.

const fs = require('node:fs')
const path = require('node:path')

let taken = 0
let folder

exports.register = function () {
    folder = this.config.get('mailbox').trim()
}

exports.hook_rcpt = function (next, connection, [recipient]) {
    if (recipient.user.startsWith('refuse-')) return next(DENY, `no mailbox here by the name <${recipient.address}>`)
    next(OK)
}

exports.hook_queue = keep
// Whoever has given a password may send on, and would have it sent on.
exports.hook_queue_outbound = keep

function keep(next, connection) {
    const { transaction } = connection
    const name = `${process.pid}-${taken++}`
    const file = fs.createWriteStream(path.join(folder, 'tmp', name))
    file.write(transaction.rcpt_to.map((recipient) => `X-Original-To: ${recipient.address}\n`).join(''))
    file.once('error', (error) => next(DENYSOFT, error.message))
    file.once('close', () => {
        fs.rename(path.join(folder, 'tmp', name), path.join(folder, 'new', name), (error) => {
            if (error) return next(DENYSOFT, error.message)
            next(OK)
        })
    })
    transaction.message_stream.pipe(file, { line_endings: '\n' })
}
