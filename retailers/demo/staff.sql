-- Departments from 101 on are stores; the days of hiring and leaving are custom attributes.
SELECT
    person.userid AS staff_id,
    person.name AS name,
    person.mobile AS phone,
    'S' || lpad((person.department[1] - 100)::VARCHAR, 3, '0') AS store_id,
    person.position AS role,
    CASE person.status WHEN 5 THEN 'left' ELSE 'active' END AS status,
    list_filter(person.extattr.attrs, LAMBDA attr: attr.name = '入职日期')[1].text.value AS hired_on,
    list_filter(person.extattr.attrs, LAMBDA attr: attr.name = '离职日期')[1].text.value AS left_on,
    _file,
    _row
FROM (
    SELECT
        unnest(userlist) AS person,
        _file,
        _row
    FROM wecom_staff
) AS answers
