#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    esp_ota_fuzz::xtensa::xtensa(data);
});
