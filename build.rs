//! How the service is linked.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    if cfg!(all(target_os = "linux", target_env = "gnu")) {
        // Relocations as a bit map, for a smaller binary. glibc understands them since 2.36, that
        // of Debian 12.
        println!("cargo:rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
    }
}
