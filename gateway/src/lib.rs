//! The session core: what a connected device is told, and when. Pure.
