//! Operators of list filters (user guide, "Filtering DataSync resources").

use crate::word::words;

words! { /// How a filter of ListLocations or ListTasks compares.
Operator {
    Equals = "Equals",
    NotEquals = "NotEquals",
    In = "In",
    LessThanOrEqual = "LessThanOrEqual",
    LessThan = "LessThan",
    GreaterThanOrEqual = "GreaterThanOrEqual",
    GreaterThan = "GreaterThan",
    Contains = "Contains",
    NotContains = "NotContains",
    BeginsWith = "BeginsWith",
} }
