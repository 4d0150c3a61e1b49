//! The seeds, and many small changes of each, without libFuzzer: what every test run can afford.

use std::fs;
use std::path::Path;

const TARGETS: [(&str, fn(&[u8])); 7] = [
    ("image", esp_ota_fuzz::image),
    ("partition_table", esp_ota_fuzz::partition_table),
    ("nvs", esp_ota_fuzz::nvs),
    ("otadata", esp_ota_fuzz::otadata),
    ("signature", esp_ota_fuzz::signature),
    ("riscv", |data| assert!(esp_ota_fuzz::cpu::riscv(data) < u64::MAX)),
    ("xtensa", |data| assert!(esp_ota_fuzz::xtensa::xtensa(data) < u64::MAX)),
];
const CHANGES: usize = 300;

/// A small generator of numbers, the same in every run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit.max(1) as u64) as usize
    }
}

#[test]
fn every_target_survives_its_seeds_and_their_neighbours() {
    let mut numbers = Numbers(0x9E37_79B9_7F4A_7C15);
    for (name, target) in TARGETS {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(name);
        let mut seeds: Vec<_> =
            fs::read_dir(folder).expect("a corpus").map(|file| file.expect("a file").path()).collect();
        seeds.sort();
        assert!(seeds.len() >= 3, "{name}");
        for seed in seeds {
            let seed = fs::read(seed).expect("a seed");
            target(&seed);
            // A machine is more than a parser: fewer of them.
            let changes = if matches!(name, "riscv" | "xtensa") { CHANGES / 10 } else { CHANGES };
            for _ in 0..changes {
                let mut changed = seed.clone();
                for _ in 0..=numbers.below(4) {
                    let at = numbers.below(changed.len());
                    match numbers.below(4) {
                        0 => changed.truncate(at),
                        1 => changed.insert(at, numbers.below(256) as u8),
                        _ => {
                            if let Some(byte) = changed.get_mut(at) {
                                *byte = [0, 1, 0x7F, 0x80, 0xFF, numbers.below(256) as u8][numbers.below(6)];
                            }
                        }
                    }
                }
                target(&changed);
            }
        }
    }
}
