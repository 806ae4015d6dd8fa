"""Words of the simulated retailer: names, places, goods and what customers write.

What belongs here: lists of words, made up for this purpose. What does not: how they are drawn.
"""

from __future__ import annotations

from dataclasses import dataclass

SURNAMES = tuple("王李张刘陈杨黄赵吴周徐孙马朱胡郭何高林罗郑梁谢宋唐许韩冯邓曹彭曾肖田董袁潘于蒋蔡")
GIVEN_FIRST = tuple("子雨梓欣佳思嘉一文晓明志建丽秀海春国玉静天俊浩宇若诗婉安书清")
GIVEN_SECOND = ("", *tuple("涵轩怡妍琪萱宁悦然晨阳杰伟强磊洋勇艳娟敏霞平刚桂英华芳辉玲燕琳"))
NICKNAMES = (
    "小确幸", "奶茶三分糖", "追风的人", "一只橘猫", "晴天娃娃", "半夏", "豆豆妈", "柠檬不酸",
    "慢慢来", "星河入梦", "阿木", "西瓜味的夏天", "早睡早起", "大白兔", "云淡风轻", "糖糖",
)  # fmt: skip

PLACES = (
    ("上海市", "上海市", "静安区"), ("浙江省", "杭州市", "西湖区"), ("江苏省", "苏州市", "姑苏区"),
    ("广东省", "广州市", "天河区"), ("广东省", "深圳市", "南山区"), ("四川省", "成都市", "锦江区"),
    ("湖北省", "武汉市", "江汉区"), ("北京市", "北京市", "朝阳区"), ("陕西省", "西安市", "雁塔区"),
    ("湖南省", "长沙市", "岳麓区"), ("福建省", "厦门市", "思明区"), ("山东省", "青岛市", "市南区"),
    ("重庆市", "重庆市", "渝中区"), ("河南省", "郑州市", "金水区"), ("安徽省", "合肥市", "蜀山区"),
)  # fmt: skip
STREETS = ("和平路", "人民路", "中山路", "解放路", "建设路", "文化路", "滨江大道", "学府路")


@dataclass(frozen=True)
class Category:
    """One top category.

    Attributes:
        name: Its name.
        kinds: Categories below it, which also name the products.
        price_yuan: Typical price of a product.
        cycle_days: Days after which it is used up; None where it is not bought on a cycle.
        unit: Unit of sale.
    """

    name: str
    kinds: tuple[str, ...]
    price_yuan: float
    cycle_days: float | None
    unit: str


CATEGORIES = (
    Category("美妆护肤", ("面霜", "精华液", "防晒霜", "面膜", "口红"), 168, 60, "瓶"),
    Category("个护清洁", ("洗发水", "沐浴露", "牙膏", "洗衣液", "洗手液"), 42, 45, "瓶"),
    Category("母婴用品", ("婴儿奶粉", "纸尿裤", "婴儿湿巾", "辅食", "奶瓶"), 138, 24, "件"),
    Category("咖啡茶饮", ("挂耳咖啡", "咖啡豆", "绿茶", "花果茶", "燕麦奶"), 66, 30, "盒"),
    Category("休闲零食", ("坚果", "饼干", "果干", "肉脯", "巧克力"), 36, None, "袋"),
    Category("宠物食品", ("猫粮", "狗粮", "猫砂", "冻干零食", "猫罐头"), 98, 32, "袋"),
    Category("营养保健", ("维生素", "益生菌", "鱼油", "蛋白粉", "钙片"), 128, 40, "瓶"),
    Category("家居日用", ("毛巾", "保温杯", "收纳盒", "香薰", "四件套"), 89, None, "件"),
)
BRANDS = ("禾木", "青岚", "小满日记", "云朵里", "南屿", "知白", "山月集", "拾光")
PRODUCT_STYLES = ("经典", "轻盈", "便携", "家庭装", "尝鲜装", "升级版")

TIERS = ("普通会员", "银卡会员", "金卡会员", "黑金会员")
REGISTER_CHANNELS = ("门店", "小程序", "企微活码", "商城")
STAFF_ROLES = ("店长", "导购", "导购", "资深导购")

CAMPAIGN_NAMES = {
    "festival": ("618年中大促", "双11会员日", "年货节", "双12返场", "女神节", "国庆欢购"),
    "monthly": ("会员日", "新品上市", "换季清仓", "积分翻倍"),
}
EXPERIMENTS = (
    ("沉睡会员唤醒券", "给久未购买的会员发满减券，28天内下单增加"),
    ("新品试用邀请", "邀请会员试用新品，28天内下单增加"),
    ("专属导购关怀", "导购一对一问候，28天内下单增加"),
    ("积分到期提醒", "提醒积分即将到期，28天内下单增加"),
)

GOOD_FEEDBACK = (
    "东西很好用，已经回购第三次了", "物流很快，包装也仔细，推荐", "导购特别耐心，给我讲得很清楚",
    "性价比不错，活动的时候囤了一些", "宝宝很喜欢，会继续支持", "味道香而不腻，家里人都爱喝",
    "质量比想象中好，颜色也正", "小程序下单方便，到店自提不用排队",
)  # fmt: skip
MIXED_FEEDBACK = (
    "还可以吧，没有特别惊喜", "一般般，价格再便宜点就好了", "东西没问题，就是发货慢了两天",
    "用着还行，包装有点简陋", "和上次买的差不多",
)  # fmt: skip
BAD_FEEDBACK = (
    "等了一个多星期才到，客服也不回消息", "收到的时候盒子压坏了，有点失望", "味道和以前不一样，不会再买",
    "退货流程太麻烦了", "优惠券到店说不能用，感觉被骗", "用了过敏，希望商家重视",
)  # fmt: skip
REFUND_REASONS = ("不想要了", "商品破损", "发错货", "与描述不符", "尺寸不合适", "七天无理由")
