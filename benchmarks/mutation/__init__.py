"""Mutation testing of the methods: does a test notice when a formula is wrong?"""
