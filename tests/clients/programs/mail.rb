# Sends messages with Ruby's mail, as told on standard input, and says what became of each on standard output.
#
# {"port", "ca", "user", "password", "messages": [{"from", "to", "subject", "text", "html", "attachments"}]}
require 'json'
require 'mail'

told = JSON.parse(STDIN.read)
results = told['messages'].map do |message|
  mail = Mail.new(charset: 'UTF-8') do
    from message['from']
    to message['to']
    subject message['subject']
  end
  # Beside an attachment the two texts have to be a part of their own.
  texts = Mail::Part.new(content_type: 'multipart/alternative')
  { 'plain' => message['text'], 'html' => message['html'] }.compact.each do |kind, text|
    texts.add_part(Mail::Part.new { content_type "text/#{kind}; charset=UTF-8"; body text })
  end
  mail.add_part(texts)
  (message['attachments'] || []).each { |file| mail.attachments[file['filename']] = file['content'].unpack1('m') }
  mail.delivery_method :smtp, address: 'localhost', port: told['port'], user_name: told['user'], password: told['password'],
                              authentication: :plain, enable_starttls: true, ca_file: told['ca']
  begin
    mail.deliver!
    { to: message['to'], accepted: true }
  rescue StandardError => e
    { to: message['to'], accepted: false, response: e.message }
  end
end
print JSON.generate(results)
