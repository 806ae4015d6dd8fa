-- The feature dates of the run. Each date has a row for itself and for every earlier one: a row of a
-- source that counts from some date on meets, by an equality, every date on which it counts. Joining
-- on an inequality instead sorts the source, which takes minutes where this takes seconds.
select
    earlier.as_of_date as counts_from,
    dates.as_of_date,
    dates.as_of
from ({{ feature_dates() }}) as dates
inner join ({{ feature_dates() }}) as earlier
    on earlier.as_of_date <= dates.as_of_date
