//! XDM packages and the PDF beside the C-CDA: made by the gateway, judged by other programs, read by the practice HISP.

mod journeys;
mod judges;

use std::io::Write as _;

use zip::{ZipWriter, write::SimpleFileOptions};

/// A ZIP file of these files.
fn zip(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut zip = ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, content) in files {
        zip.start_file(*name, SimpleFileOptions::default()).unwrap();
        zip.write_all(content).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

/// An opened message with this attachment.
fn mail(media_type: &str, name: &str, content: &[u8]) -> Vec<u8> {
    use base64::{Engine as _, prelude::BASE64_STANDARD};
    format!(
        "From: results@lab.example\r\nTo: pcp@clinic.example\r\nMIME-Version: 1.0\r\n\
         Content-Type: multipart/mixed; boundary=\"x\"\r\n\r\n--x\r\nContent-Type: text/plain\r\n\r\nhello\r\n--x\r\n\
         Content-Type: {media_type}\r\nContent-Disposition: attachment; filename=\"{name}\"\r\n\
         Content-Transfer-Encoding: base64\r\n\r\n{}\r\n--x--\r\n",
        BASE64_STANDARD.encode(content)
    )
    .into_bytes()
}
