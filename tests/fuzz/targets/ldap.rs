#![no_main]
libfuzzer_sys::fuzz_target!(init: postern_fuzz::prepare(), |data: &[u8]| postern_fuzz::within_limits(postern_fuzz::ldap, data));
