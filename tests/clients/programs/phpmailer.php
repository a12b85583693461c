<?php
// Sends messages with PHPMailer, as told on standard input, and says what became of each on standard output.
//
// {"port", "ca", "user", "password", "messages": [{"from", "to", "subject", "text", "html", "attachments"}]}

require '/usr/share/php/libphp-phpmailer/autoload.php';

use PHPMailer\PHPMailer\PHPMailer;

$told = json_decode(stream_get_contents(STDIN), true);
$results = [];
foreach ($told['messages'] as $message) {
    $mail = new PHPMailer(true);
    $mail->isSMTP();
    $mail->Host = 'localhost';
    $mail->Port = $told['port'];
    $mail->SMTPAuth = true;
    $mail->Username = $told['user'];
    $mail->Password = $told['password'];
    $mail->SMTPSecure = PHPMailer::ENCRYPTION_STARTTLS;
    $mail->SMTPOptions = ['ssl' => ['cafile' => $told['ca']]];
    $mail->CharSet = PHPMailer::CHARSET_UTF8;
    $mail->Encoding = $message['textEncoding'] ?? 'base64';
    try {
        $mail->setFrom('news@brand.example', 'Brand ✓');
        $mail->addAddress($message['to']);
        $mail->Subject = $message['subject'];
        if (isset($message['html'])) {
            $mail->isHTML(true);
            $mail->Body = $message['html'];
            $mail->AltBody = $message['text'];
        } else {
            $mail->Body = $message['text'];
        }
        foreach ($message['attachments'] ?? [] as $file) {
            $mail->addStringAttachment(base64_decode($file['content']), $file['filename'], 'base64', 'application/octet-stream');
        }
        $mail->send();
        $results[] = ['to' => $message['to'], 'accepted' => true, 'response' => $mail->getSMTPInstance()->getLastReply()];
    } catch (\Exception $error) {
        $results[] = ['to' => $message['to'], 'accepted' => false, 'response' => $mail->ErrorInfo];
    }
}
echo json_encode($results);
