//! The deterministic simulator, the histories and their checkers: pure.
