//! The command line, as scripts and operators meet it: the real binary, its output and its exit
//! status.

mod canned;
mod check;
mod database;
mod dotenv;
mod help;
mod import_skycms;
mod key;
mod prune;
mod publish;
mod run;
mod site;
mod tls;
