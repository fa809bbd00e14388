//! Writes the seeds of every entry point below the folder that is named.

// What is instrumented counts in there.
use libfuzzer_sys as _;

fn main() {
    let folder = std::path::PathBuf::from(std::env::args().nth(1).expect("the folder"));
    for (name, _, seeds) in postern_fuzz::entries() {
        std::fs::create_dir_all(folder.join(name)).expect("a folder");
        for (n, seed) in seeds.iter().enumerate() {
            std::fs::write(folder.join(name).join(format!("seed-{n}")), seed).expect("a seed");
        }
    }
}
