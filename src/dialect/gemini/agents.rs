//! Background agents (Deep Research): tasks of the Interactions API, and the reports that they end with.

pub mod interactions;
mod research_report;
