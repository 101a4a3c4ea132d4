"""The first start: two doors. The sample challenge in one click, or a competition of one's own. Nothing asks for an account."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import streamlit as st
from tzlocal import get_localzone_name

from app.jobs import sample_challenge
from app.journal import challenges, checklist, rest_days
from app.journal.data_layout import layout_of
from app.journal.days import logical_date, zone
from app.journal.home import COMMAND
from app.journal.store import Journal
from app.views.desk import attempt
from engine.contract import METRIC_DIRECTIONS, OnehourError


def show(journal: Journal) -> None:
    st.markdown("### One hour a day on one competition")
    st.markdown(
        "The hour ends by itself, the machine works through the rest of the day, and every run comes back as a score."
    )
    sample, mine = st.columns(2, gap="large")
    with sample.container(border=True):
        _sample(journal)
    with mine.container(border=True):
        _mine(journal)


def _sample(journal: Journal) -> None:
    st.markdown("#### Try the sample challenge")
    st.markdown(
        "Draws a small competition of whale flukes on this machine and takes on 60 days of it, starting today. "
        "Its leaderboard is at home, so a first run of about two minutes comes back with CV and LB."
    )
    if st.button("Draw the data and begin", type="primary", key="sample"):
        with st.spinner("Drawing about 400 photographs, a few seconds"):
            attempt(sample_challenge.draw_and_found, journal, _zone_here())
        st.rerun()


def _mine(journal: Journal) -> None:
    st.markdown("#### My competition")
    with st.form("mine", border=False):
        left, right = st.columns(2)
        left.text_input("Competition", placeholder="humpback-whale-identification", key="competition")
        right.text_input("Folder of its data", placeholder="/data/humpback", key="data_dir", help=DATA_HELP)
        days, minutes, reflection = st.columns(3)
        days.number_input("Days", 1, 1000, 60, key="days")
        minutes.number_input("Minutes a day", 0.0, 1440.0, 60.0, step=5.0, format="%g", key="minutes")
        reflection.number_input("Minutes of reflection", 0.0, 720.0, 10.0, step=5.0, format="%g", key="reflection")
        st.radio("Mode", challenges.MODES, key="mode", horizontal=True, help=MODE_HELP, format_func=MODE_WORDS.get)
        st.caption(f"{challenges.MODE_ADVICE}.")
        zone_name, starts_on = st.columns(2)
        zone_name.text_input("Time zone", _zone_here(), key="time_zone")
        starts_on.date_input(
            "Starts on", logical_date(journal.now(), _zone_here(), challenges.DAY_STARTS_AT), key="starts_on"
        )
        st.text_input("Planned days of rest", placeholder="2026-12-24, 2026-12-25", key="rest_days", help=REST_HELP)
        st.text_area(
            "Rules of the competition, one a line",
            "\n".join(rule.text for rule in checklist.DEFAULTS),
            height=120,
            key="checklist",
            help="A checklist to hold yourself to: it stands in Settings, where it can be ticked and changed.",
        )
        with st.expander("Metric and columns, where they are not MAP@5 over Image and Id"):
            metric, image_col, label_col, unknown = st.columns(4)
            metric.selectbox("Metric", list(METRIC_DIRECTIONS), list(METRIC_DIRECTIONS).index("map5"), key="metric")
            image_col.text_input("Column of the image", "Image", key="image_col")
            label_col.text_input("Column of the label", "Id", key="label_col")
            unknown.text_input(
                "Label of the unknown", "new_whale", key="unknown_label", help="Empty where there is none."
            )
        st.form_submit_button("Take it on", on_click=attempt, args=(_found, journal))


DATA_HELP = (
    "With a file of labels, a sample submission and folders of training and test pictures, as Kaggle's download has them. "
    f"`{COMMAND} data download NAME` fetches it with your Kaggle account."
)
REST_HELP = "Dates with commas between. Their hour is lost too, but does not look like a failure. More can be planned at any time."
MODE_HELP = (
    "Weekly: a budget of seven times the minutes, to divide over the week in as many sittings as you like. What a sitting leaves "
    "stays in the week's budget."
)
MODE_WORDS = {"daily": "daily: one hour each day", "weekly": "weekly: seven hours, when you like"}


def _found(journal: Journal) -> None:
    asked = st.session_state
    if not asked.data_dir.strip():
        raise OnehourError("the folder of the competition's data is missing", fix="It is the one with train.csv in it.")
    rules = challenges.Rules(
        competition=asked.competition,
        data_dir=Path(asked.data_dir.strip()).expanduser(),
        starts_on=asked.starts_on,
        days=asked.days,
        minutes_per_day=asked.minutes,
        reflection_minutes=asked.reflection,
        time_zone=zone(asked.time_zone.strip()).key,
        mode=asked.mode,
        day_starts_at=challenges.DAY_STARTS_AT,
        metric=asked.metric,
        image_col=asked.image_col.strip(),
        label_col=asked.label_col.strip(),
        unknown_label=asked.unknown_label.strip() or None,
        rest_days=rest_days.dates(asked.rest_days),
        checklist=checklist.lines(asked.checklist),
    )
    today = logical_date(journal.now(), rules.time_zone, challenges.DAY_STARTS_AT)
    rules.check(today)
    layout = layout_of(rules.data_dir, rules.image_col, rules.label_col)
    challenges.found(journal, replace(rules, layout=layout), today)


def _zone_here() -> str:
    return get_localzone_name() or "UTC"
