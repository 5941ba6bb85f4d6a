"""Wagtail's own backend for CloudFront. It has no answer but its log, and purges URLs."""

import logging
import sys

import django
from django.conf import settings

settings.configure()
django.setup()

from wagtail.contrib.frontend_cache.backends import CloudfrontBackend  # noqa: E402

logging.basicConfig(level=logging.WARNING)
distribution, *urls = sys.argv[1:]
CloudfrontBackend({"DISTRIBUTION_ID": distribution}).purge_batch(urls)
