"""The leagues and banners of the region: real names, so that results read like results, and made-up codes."""

from __future__ import annotations

import numpy as np

LEAGUES = {
    "呼和浩特": "新城 回民 玉泉 赛罕 土默特左 托克托 和林格尔 清水河 武川",
    "包头": "东河 昆都仑 青山 石拐 白云鄂博 九原 土默特右 固阳 达尔罕茂明安",
    "乌海": "海勃湾 海南 乌达",
    "赤峰": "红山 元宝山 松山 阿鲁科尔沁 巴林左 巴林右 林西 克什克腾 翁牛特 喀喇沁 宁城 敖汉",
    "通辽": "科尔沁 科尔沁左中 科尔沁左后 开鲁 库伦 奈曼 扎鲁特 霍林郭勒",
    "鄂尔多斯": "东胜 康巴什 达拉特 准格尔 鄂托克前 鄂托克 杭锦 乌审 伊金霍洛",
    "呼伦贝尔": "海拉尔 扎赉诺尔 阿荣 莫力达瓦 鄂伦春 鄂温克 陈巴尔虎 新巴尔虎左 新巴尔虎右 满洲里 牙克石"
    " 扎兰屯 额尔古纳 根河",
    "巴彦淖尔": "临河 五原 磴口 乌拉特前 乌拉特中 乌拉特后 杭锦后",
    "乌兰察布": "集宁 卓资 化德 商都 兴和 凉城 察哈尔右翼前 察哈尔右翼中 察哈尔右翼后 四子王 丰镇",
    "兴安": "乌兰浩特 阿尔山 科尔沁右翼前 科尔沁右翼中 扎赉特 突泉",
    "锡林郭勒": "锡林浩特 二连浩特 阿巴嘎 苏尼特左 苏尼特右 东乌珠穆沁 西乌珠穆沁 太仆寺 镶黄 正镶白 正蓝 多伦",
    "阿拉善": "阿拉善左 阿拉善右 额济纳",
}
_LEAGUE_WEIGHTS = np.array([3.5, 2.7, 0.56, 4.0, 2.9, 2.2, 2.2, 1.5, 1.7, 1.4, 1.1, 0.27])
"""Persons in 100,000s, roughly as a census would have them; only their proportions matter."""

BANNERS = [banner for banners in LEAGUES.values() for banner in banners.split()]
LEAGUE_NAMES = list(LEAGUES)
LEAGUE_OF_BANNER = np.repeat(np.arange(len(LEAGUES)), [len(banners.split()) for banners in LEAGUES.values()])
BANNER_CODES = 990_001 + np.arange(len(BANNERS))
"""Six digits that start every citizen number: 99, then the banner's place in the list."""


def banner_weights() -> np.ndarray:
    """Return each banner's part of the population: the first of a league is largest, the last ones small."""
    place = np.concatenate([np.arange(len(banners.split())) for banners in LEAGUES.values()])
    weights = _LEAGUE_WEIGHTS[LEAGUE_OF_BANNER] / (1.5 + place)
    weights[BANNERS.index("白云鄂博")] *= 0.02
    weights[BANNERS.index("额济纳")] *= 0.05
    return weights / weights.sum()
