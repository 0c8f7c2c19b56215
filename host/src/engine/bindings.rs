//! The interface as Rust, generated from `wit/`. Seen by `convert` and `host` alone.

wasmtime::component::bindgen!({
    path: "../wit",
    world: "policy",
    // A host function may find that a guest asks too much, which ends the guest.
    imports: { default: trappable },
    // A call yields on ticks instead of holding its thread.
    exports: { default: async },
    with: {
        "portcullis:policy/facts.message": self::handles::Message,
        "portcullis:policy/facts.tls": self::handles::Tls,
        "portcullis:policy/facts.certificate": self::handles::Certificate,
        "portcullis:policy/demands.requirements": self::handles::RequirementSet,
    },
});

/// What the interface's resources are here: handles without data, see `host`.
pub(super) mod handles {
    #![expect(unreachable_pub, reason = "the generated code re-exports them")]

    /// The message of a call.
    pub enum Message {}
    /// The TLS session of a call.
    pub enum Tls {}
    /// The client certificate of a call.
    pub enum Certificate {}
    /// A set of requirements under construction; its number is its place in the call.
    pub enum RequirementSet {}
}
