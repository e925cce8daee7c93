//! Plays conversations against real region processes and collects what their clients saw.
