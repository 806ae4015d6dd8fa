{#- Names and bands that more than one model may need. -#}

{#- Name of a weekday (Monday is 1) in English or Chinese. -#}
{% macro weekday_name(day_of_week, language) -%}
    {%- set names = {
        'en': ['Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday', 'Sunday'],
        'zh': ['星期一', '星期二', '星期三', '星期四', '星期五', '星期六', '星期日'],
    }[language] -%}
    case {{ day_of_week }}
    {%- for name in names %} when {{ loop.index }} then '{{ name }}'{% endfor %} end
{%- endmacro %}

{#- Age band on the as-of day from a year of birth; null when that is unknown. -#}
{% macro age_band(birth_year) -%}
    {%- set age = '(' ~ var('as_of_date')[:4] ~ ' - ' ~ birth_year ~ ')' -%}
    case
        when {{ age }} < 18 then 'under 18'
        {%- for low, high in [(18, 24), (25, 34), (35, 44), (45, 54), (55, 64)] %}
        when {{ age }} <= {{ high }} then '{{ low }}-{{ high }}'
        {%- endfor %}
        when {{ age }} >= 65 then '65+'
    end
{%- endmacro %}

{#- Whether an order of this status counts: paid for, and not cancelled since. -#}
{% macro is_counted(status) -%}
    {{ status }} in ('paid', 'shipped', 'completed')
{%- endmacro %}

{#- How a WeCom relationship came about, in English or Chinese, from WeCom's add_way code. -#}
{% macro add_way_name(add_way, language) -%}
    {%- set names = {
        '0': ['unknown', '未知来源'],
        '1': ['QR code', '扫描二维码'],
        '2': ['phone number search', '搜索手机号'],
        '3': ['card shared', '名片分享'],
        '4': ['group chat', '群聊'],
        '5': ['phone contacts', '手机通讯录'],
        '6': ['WeChat contact', '微信联系人'],
        '7': ['WeChat friend request', '微信好友申请'],
        '8': ['third-party app', '第三方应用'],
        '9': ['e-mail search', '搜索邮箱'],
        '10': ['Channels', '视频号'],
        '11': ['calendar', '日程参与人'],
        '12': ['meeting', '会议参与人'],
        '13': ['WeChat friend', '添加微信好友'],
        '14': ['smart hardware', '智慧硬件专属客服'],
        '16': ['acquisition link', '获客链接'],
        '201': ['shared by colleague', '内部成员共享'],
        '202': ['assigned', '管理员/负责人分配'],
    } -%}
    {%- set place = {'en': 0, 'zh': 1}[language] -%}
    case {{ add_way }}
    {%- for code, words in names.items() %} when '{{ code }}' then '{{ words[place] }}'{% endfor %}
    else {{ add_way }} end
{%- endmacro %}
