//! The SMTP submission door.
