"""The algorithm library (通用算法模型和控件库): components, each one file of `components.library`, run in boxes.

Other rooms use `components.api`. What a component is, and how one is added, stands in `components.description`.
"""
